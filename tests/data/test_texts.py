"""The text of each mel-spectrogram: of whole recordings all of it, of pieces their own words.

Each word is a tone of its own, so that a mel-spectrogram shows which words it holds.
"""

import re
from itertools import groupby

import numpy as np
import pytest
from cases import RATE, tone, vowel, write
from corpora import TREES
from spoken import HERTZ, write_textgrid

from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.preparation import Preparation
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.corpus import Aligner

PARAMS = SpectrogramParams(n_fft=256, hop_length=64, n_mels=24, n_frames=128)  # 0.51 s each
WORD = 0.3  # seconds
LONG, SHORT = 8, 1  # words of a recording


def write_words(folder, name: str, count: int, seed: int, grid: bool = True) -> str:
    """NAME.wav of words, each a tone of WORD, and its TextGrid; returns its text."""
    random = np.random.default_rng(seed)
    words = random.permutation([*HERTZ] * count)[:count].tolist()
    write(folder / f"{name}.wav", np.concatenate([tone(HERTZ[word], WORD) for word in words]))
    if grid:
        tier = [(i * WORD, (i + 1) * WORD, word) for i, word in enumerate(words)]
        write_textgrid(folder / f"{name}.TextGrid", count * WORD, phones=tier, words=tier)
    return " ".join(words)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Long and short recordings of words, with TextGrids; and their table."""
    folder, rows = tmp_path_factory.mktemp("words"), ["file,text"]
    for seed in range(6):
        rows.append(f"{seed},{write_words(folder, f'{seed}', (LONG, SHORT)[seed % 2], seed)}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    return folder


def texts_of(path) -> tuple[SpectrogramSet, list[str]]:
    data = SpectrogramSet(path, None, condition="text")
    rows = data.conditions(range(len(data))).numpy()
    return data, [data.condition_spec.decode(row) for row in rows]


def shown(mel: np.ndarray) -> list[tuple[str, int]]:
    """Words in a mel (n_mels, n_frames) by their tones, and how many frames each lasts."""
    import librosa

    bands = librosa.mel_frequencies(PARAMS.n_mels + 2, fmax=PARAMS.fmax)[1:-1]
    apart = np.abs(np.log(bands[mel.argmax(axis=0)][:, None] / [*HERTZ.values()])).argmin(axis=1)
    loud = np.where(mel.max(axis=0) > 0, apart, -1).tolist()
    runs = [(tone, len(list(frames))) for tone, frames in groupby(loud)]
    return [([*HERTZ][tone].lower(), count) for tone, count in runs if tone >= 0]


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("join", [False, True])
def test_a_piece_has_the_words_that_it_shows(join, augment, words, workbook):
    preparation = Preparation(PARAMS, 0.3, join, augment, validation_share=0.3)
    path = build_dataset(words, "my", preparation, 1, "metadata.csv", aligner=Aligner())
    data, texts = texts_of(path)
    word, right, certain = WORD * RATE / PARAMS.hop_length, 0, 0
    for text, mel in zip(texts, data.mels[:, 0].astype(float), strict=True):
        runs = shown(mel)
        # Two equal words in a row are one run; one that is cut in the middle may count or not.
        if any(count > 1.2 * word or 0.35 * word < count < 0.65 * word for _, count in runs):
            continue
        certain += 1
        right += text.split() == [name for name, count in runs if count > word / 2]
    assert certain > 0.3 * len(texts)
    assert right == certain


def test_without_an_alignment_a_piece_has_no_text_and_that_is_counted(words, workbook, capsys):
    path = build_dataset(words, "my", Preparation(PARAMS), 1, "metadata.csv")
    data, texts = texts_of(path)
    whole = [data.source(i) in ("1.wav", "3.wav", "5.wav") for i in range(len(texts))]
    assert [bool(text) for text in texts] == whole
    cut = len(texts) - 3
    line = f"text: 0 of {len(texts)} mel-spectrograms are pieces that have their own words, {cut} "
    assert f"{line}are pieces that have none, since no words are aligned to them" in (
        capsys.readouterr().out
    )


def test_of_some_recordings_the_words_are_known(words, workbook, capsys):
    write(workbook / "voice" / "long.wav", vowel(2.0))
    rows = [
        "file,text",
        "long,Nobody knows when",
        f"1,{write_words(workbook / 'voice', '1', LONG, 1)}",
    ]
    (workbook / "voice" / "metadata.csv").write_text("\n".join(rows))
    path = build_dataset("voice", "my", Preparation(PARAMS), 1, "metadata.csv", aligner=Aligner())
    data, texts = texts_of(path)
    assert {data.source(i) for i, text in enumerate(texts) if text} == {"1.wav"}
    known = sum(map(bool, texts))
    assert known > 3
    line = f"text: {known} of {len(texts)} mel-spectrograms are pieces that have their own words, "
    assert f"{line}{len(texts) - known} are pieces" in capsys.readouterr().out


@pytest.mark.parametrize("augment", [False, True])
def test_end_to_end_short_recordings_keep_their_texts_and_long_ones_have_none(augment, workbook):
    preparation = Preparation(PARAMS, join=True, augment=augment, validation_share=0)
    rows = ["file,text", "short,Said", "again,Said", "long,Not said"]
    for name, seconds in (("short", 0.4), ("again", 0.4), ("long", 4.0)):
        write(workbook / "voice" / f"{name}.wav", vowel(seconds))
    (workbook / "voice" / "metadata.csv").write_text("\n".join(rows))
    _, texts = texts_of(build_dataset("voice", "my", preparation, 1, "metadata.csv"))
    assert set(" ".join(texts).split()) == {"said"}
    assert texts.count("") >= (7 * 21 if augment else 7)
    (workbook / "voice" / "long.wav").unlink()
    _, texts = texts_of(build_dataset("voice", "my", preparation, 1, "metadata.csv"))
    assert "" not in texts


def test_vectors_are_those_of_the_words_of_a_piece(words, workbook):
    given = []

    def embed(texts):
        given.extend(texts)
        return np.ones((len(texts), 2))

    how = (Preparation(PARAMS), 1, "metadata.csv", embed)
    path = build_dataset(words, "my", *how, Aligner())
    assert max(len(text.split()) for text in given) < LONG
    rows = SpectrogramSet(path, None, condition="vectors").conditions(range(4))
    assert not rows.isnan().any()


def test_a_column_that_is_unique_keeps_nothing_apart_and_is_no_condition(workbook, capsys):
    rows = ["file,speaker,id,seconds"]
    for i in range(24):
        write(workbook / "voice" / f"{i:02}.wav", tone(300 + 40 * i, 0.3 + 0.01 * i))
        rows.append(f"{i:02},{'ab'[i % 2]},take {i},{0.3 + 0.01 * i:.2f}")
    (workbook / "voice" / "metadata.csv").write_text("\n".join(rows))
    (workbook / "voice" / "few.csv").write_text("\n".join(r.rsplit(",", 2)[0] for r in rows))
    preparation = Preparation(PARAMS, join=True)
    mels = {}
    for source in ("few.csv", "metadata.csv"):
        data = SpectrogramSet(build_dataset("voice", "my", preparation, 1, source), None)
        mels[source] = len(data)
    printed = capsys.readouterr().out
    assert mels["metadata.csv"] == mels["few.csv"] < 24
    assert "id: most of its 24 values belong to one recording only; no condition, and " in printed
    assert "seconds: its values are measurements; no condition, and ignored by join" in printed
    assert re.search(r"speaker: of 24 of 24 recordings, such as .*; 2 different\n", printed)
    with pytest.raises(ValueError, match=r"condition is 'id'; my\.npy has: speaker"):
        SpectrogramSet(data.path, condition="id")


SOURCES = {"vctk": "texts+folders", "common_voice": "validated.tsv", "timit": "texts+folders:3"}
SOURCES |= {"librispeech": "texts+folders:2", "speech_commands": "folders"}


@pytest.mark.parametrize("name", TREES)
def test_published_layouts_have_a_speaker_and_a_text_for_each_mel(name, workbook):
    tree = TREES[name](workbook / name)
    path = build_dataset(tree.folder, "my", Preparation(), 1, SOURCES[name])
    data = SpectrogramSet(path, None, condition="speaker")
    speakers = [
        data.condition_spec.decode(row) for row in data.conditions(range(len(data))).numpy()
    ]
    if name == "speech_commands":  # a folder is a word
        assert set(speakers) == {"yes", "no", "marvin", "_background_noise_"}
        return
    files = [data.source(i) for i in range(len(data))]
    assert speakers == [tree.speakers[file] for file in files]
    _, texts = texts_of(path)
    assert texts == [tree.texts[file].casefold() for file in files]
