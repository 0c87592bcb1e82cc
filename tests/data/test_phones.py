"""Phones frame by frame beside the mel: cut, joined, overlapped and changed in speed alike.

Each phone is a tone of its own, so that a mel-spectrogram shows which one it is.
"""

import json
from dataclasses import replace

import librosa
import numpy as np
import pytest
from cases import RATE, tone, write
from spoken import HERTZ, write_textgrid, write_tones

from ddpmlib.data import build
from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.corpus import Aligner, align_recordings
from ddpmlib.text.pronunciation import PHONES, SILENCE

PARAMS = SpectrogramParams(n_fft=256, hop_length=64, n_mels=24, n_frames=64)  # 0.26 s each
NEAR = PARAMS.n_fft / RATE  # seconds; nearer to the end of a phone a window sees its neighbour
WIDE = replace(PARAMS, n_frames=1024)  # wider than any of the recordings
NAMES = (SILENCE, *PHONES)
UNKNOWN = 750.0  # Hz, of a recording without a TextGrid


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Four recordings of phones, and one of a tone that is none."""
    folder = tmp_path_factory.mktemp("tones")
    for i in range(4):
        write_tones(folder, str(i), seed=i)
    write(folder / "unknown.wav", tone(UNKNOWN, 0.9))
    return folder


def seen(mel: np.ndarray) -> np.ndarray:
    """What each frame of (n_mels, n_frames) shows: the index of a phone, or -1 for UNKNOWN.

    By the nearest tone, as pitches of augmented copies differ by up to five semitones.
    """
    bands = librosa.mel_frequencies(PARAMS.n_mels + 2, fmax=PARAMS.fmax)[1:-1]
    tones = {NAMES.index(name) + 1: hertz for name, hertz in HERTZ.items()} | {-1: UNKNOWN}
    distance = np.abs(np.log(bands[mel.argmax(axis=0)][:, None] / [*tones.values()]))
    found = np.array([*tones])[distance.argmin(axis=1)]
    return np.where(mel.max(axis=0) < 0, NAMES.index(SILENCE) + 1, found)


def inside(rows: np.ndarray) -> np.ndarray:
    """Frames (n_frames, 3) that see nothing but their phone."""
    before = rows[:, 1] * np.exp(rows[:, 2])
    after = (1 - rows[:, 1]) * np.exp(rows[:, 2])
    return (rows[:, 0] > 0) & (before > NEAR) & (after > NEAR)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("join", [False, True])
def test_each_frame_shows_the_phone_of_its_row(join, overlap, augment, tones, workbook):
    preparation = Preparation(PARAMS, overlap, join, augment, validation_share=0.3)
    path = build_dataset(tones, "my", preparation, 1, aligner=Aligner())
    data = SpectrogramSet(path, None, condition="phones")
    assert data.condition_spec == PhoneCondition(NAMES, PARAMS.n_mels, PARAMS.n_frames)
    rows, mels = data.conditions(range(len(data))).numpy(), data.mels[:, 0].astype(float)
    assert rows.shape == (len(data), PARAMS.n_frames, 3)
    clear = right = 0
    for row, mel in zip(rows, mels, strict=True):
        chosen = inside(row)
        clear += chosen.sum()
        right += (seen(mel) == row[:, 0])[chosen].sum()
    assert clear > 0.4 * rows[..., 0].size
    assert right > 0.99 * clear, f"{clear - right} of {clear} frames show another phone"
    if not augment:  # which changes the pitch of the tone that is no phone
        unknown = np.isnan(rows[..., 0]).ravel()
        shown = np.concatenate([seen(mel) for mel in mels]) == -1
        assert unknown[shown].mean() > 0.95
        assert shown.sum() > 0.9 * RATE / PARAMS.hop_length * 0.8


def rows_of(path) -> tuple[SpectrogramSet, np.ndarray]:
    """A whole data set, and its phones."""
    data = SpectrogramSet(path, None, condition="phones")
    return data, data.conditions(range(len(data))).numpy()


def test_what_pads_a_mel_is_after_the_end(tones, workbook):
    entries = prepare(tones, workbook / "alone", Preparation(PARAMS, join=True), 1)
    frames = {entry.file: entry.frames for entry in entries}
    path = build_dataset(tones, "my", Preparation(WIDE), 1, aligner=Aligner())
    data, rows = rows_of(path)
    assert len(data) == len(frames) == 5
    for i, row in enumerate(rows):
        if (file := data.source(i)) == "unknown.wav":
            assert np.isnan(row).all()
            continue
        after = np.arange(WIDE.n_frames) >= frames[file]
        assert np.array_equal((row == 0).all(axis=1), after)
        assert (data.mels[i, 0][:, after] == -1).all()


def test_joined_recordings_are_padded_at_the_end_of_the_last(tones, workbook):
    preparation = Preparation(WIDE, join=True, validation_share=0.3)
    data, rows = rows_of(build_dataset(tones, "my", preparation, 1, aligner=Aligner()))
    assert len(data) == 2, "one for each split"
    for row, mel in zip(rows, data.mels[:, 0], strict=True):
        ended = (row == 0).all(axis=1)
        assert ended[ended.argmax() :].all()
        assert 0 < ended.sum() < WIDE.n_frames
        assert (mel[:, ended] == -1).all()


def test_a_recording_without_phones_shares_a_mel_with_others(tones, workbook):
    """Of a joined mel, its frames alone are unknown."""
    preparation = Preparation(WIDE, join=True, validation_share=0)
    _, rows = rows_of(build_dataset(tones, "my", preparation, 1, aligner=Aligner()))
    unknown = np.isnan(rows)
    assert (unknown.any(axis=2) == unknown.all(axis=2)).all()
    shares = unknown.any(axis=2).mean(axis=1)
    assert ((shares > 0) & (shares < 1)).any()


def test_the_alignments_of_a_split_are_those_of_its_recordings(tones, workbook):
    preparation = Preparation(PARAMS, validation_share=0.3)
    path = build_dataset(tones, "my", preparation, 1, aligner=Aligner())
    whole = [SpectrogramSet(path, split).alignments() for split in ("train", "validation", None)]
    assert [len(found) for found in whole] in ([3, 1, 4], [2, 2, 4])
    assert all(alignment.phones[0].name == SILENCE for alignment in whole[2])
    alone = build_dataset(tones, "alone", preparation, 1)
    assert SpectrogramSet(alone).alignments() == []


def test_phones_of_another_language_have_their_own_names(tones, workbook):
    folder = workbook / "voice"
    for i, names in enumerate((["ʃ", "øː"], ["a", "ʃ"])):
        write(folder / f"{i}.wav", tone(300, 0.6))
        tier = [(0.0, 0.3, names[0]), (0.3, 0.6, names[1])]
        write_textgrid(folder / f"{i}.TextGrid", 0.6, Laute=tier)
    aligner = Aligner(phone_tier="Laute")
    data, rows = rows_of(build_dataset(folder, "my", Preparation(WIDE), 1, aligner=aligner))
    assert data.condition_spec.names == (SILENCE, "a", "øː", "ʃ")
    assert [data.condition_spec.decode(row) for row in rows] == ["ʃ øː", "a ʃ"]


def test_a_data_set_without_any_alignment_is_refused(tones, workbook):
    write(workbook / "voice" / "a.wav", tone(UNKNOWN, 0.5))
    message = r"none of 1 recordings could be aligned \(a\.wav: no text is known\)"
    with pytest.raises(ValueError, match=message):
        build_dataset("voice", "my", Preparation(PARAMS), 1, aligner=Aligner())


def test_a_column_called_phones_is_not_overwritten(tones, workbook):
    (workbook / "metadata.csv").write_text("file,phones\n0,many\n")
    arguments = (tones, "my", Preparation(PARAMS), 1, workbook / "metadata.csv")
    with pytest.raises(ValueError, match="a column is called 'phones'; needed: another name"):
        build_dataset(*arguments, aligner=Aligner())
    assert not (workbook / "data" / "spectrograms" / "my").exists()
    assert SpectrogramSet(build_dataset(*arguments), None, condition="phones").condition_spec.n == 1


def test_recordings_are_aligned_with_the_texts_of_their_metadata(tones, workbook, monkeypatch):
    given = []

    def spy(root, into, texts, params, aligner, workers):
        given.append(texts)
        return align_recordings(root, into, texts, params, aligner, workers)

    monkeypatch.setattr(build, "align_recordings", spy)
    (workbook / "metadata.csv").write_text("file,text\n0,Hello.\n1,Good day.\n")
    metadata = workbook / "metadata.csv"
    path = build_dataset(tones, "my", Preparation(PARAMS), 1, metadata, aligner=Aligner())
    files = json.loads(path.with_suffix(".json").read_text())["files"]
    hashes = {file["file"]: file["sha256"] for file in files}
    texts = {"0.wav": "Hello.", "1.wav": "Good day."}
    assert given == [{file: (sha, texts.get(file, "")) for file, sha in sorted(hashes.items())}]


def test_damaged_phones_are_refused(tones, workbook):
    path = build_dataset(tones, "my", Preparation(PARAMS), 1, aligner=Aligner())
    rows = np.load(path.with_suffix(".phones.npy"))
    np.save(path.with_suffix(".phones.npy"), rows[:, :-1])
    with pytest.raises(ValueError, match=r"my\.phones\.npy is not whole; needed: rows of shape"):
        SpectrogramSet(path, condition="phones")
    np.save(path.with_suffix(".phones.npy"), rows + 40)
    with pytest.raises(ValueError, match=r"my\.phones\.npy: phones from .* needed: 0 to 40"):
        SpectrogramSet(path, condition="phones")
