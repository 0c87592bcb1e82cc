"""Voices to tell apart, and who is speaking."""

import csv

import numpy as np
import pytest
import soundfile
from cases import CORPUS, loudest_hz
from tiny import PARAMS, tell, write_data

from ddpmlib.audio import load_audio
from ddpmlib.condition import Labels
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.voices import SPEEDS, TABLE, VoiceJudge, make_voices, spoken_seconds, statistics


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "sample_corpus").mkdir(parents=True)
    (data / "README.md").write_text("here")
    lines = (CORPUS / TABLE).read_text("utf-8").splitlines()[:7]
    (data / "sample_corpus" / TABLE).write_text("\n".join(lines))
    for i in range(1, 7):
        name = f"{i:03}.ogg"
        (data / "sample_corpus" / name).write_bytes((CORPUS / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_voice_becomes_three_that_say_different_things(workbook):
    folder = make_voices()
    with (folder / TABLE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["speaker"] for row in rows] == [*SPEEDS] * 2
    assert len({row["text"] for row in rows}) == 6
    for i, row in enumerate(rows, 1):
        info = soundfile.info(folder / row["file"])
        source = soundfile.info(CORPUS / f"{i:03}.ogg")
        assert info.frames == source.frames
        assert info.samplerate == 16_000 * SPEEDS[row["speaker"]]
    heard = load_audio(folder / rows[2]["file"], 16_000).samples
    original = load_audio(CORPUS / "003.ogg", 16_000).samples
    assert loudest_hz(heard) == pytest.approx(1.25 * loudest_hz(original), rel=0.01)
    assert {path.name for path in folder.parent.iterdir()} == {"three_voices"}


def test_voices_that_are_there_are_left_alone(workbook):
    folder = make_voices()
    (folder / "note.txt").write_text("mine")
    assert make_voices() == folder
    assert (folder / "note.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_and_is_told(workbook, monkeypatch):
    def fails(*_):
        raise PermissionError("no")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="no"):
        make_voices()
    assert not list((workbook / "data" / "corpora").iterdir())


@pytest.fixture
def judge(tmp_path):
    """Knows voices that are bright above, below, or nothing."""
    path = write_data(tmp_path, pictures=20, validation=4)
    values = np.full(np.load(path).shape, -1, np.float16)
    values[:, :, :, 4:] = np.random.default_rng(0).normal(-0.1, 0.05, values[:, :, :, 4:].shape)
    values[::2, :, :4, 4:] = 0.8
    values[1::2, :, 4:, 4:] = 0.8
    values[0], said = -1, ["low", "high"] * 12
    np.save(path, values)
    tell(path, speaker=(Labels(2, ("high", "low")), [None, *said[1:]]))
    return VoiceJudge(SpectrogramSet(path, condition="speaker"))


def bright(rows: slice, frames: int = PARAMS.n_frames) -> np.ndarray:
    picture = np.full((1, PARAMS.n_mels, PARAMS.n_frames), -1.0)
    picture[:, :, :frames] = -0.1
    picture[:, rows, :frames] = 0.8
    return picture


def test_a_voice_is_heard_and_silence_does_not_count(judge):
    low, high = bright(slice(0, 4), 5), bright(slice(4, 8))
    assert judge.hear([low, high, low]).tolist() == [1, 0, 1]
    assert judge.share([low, high, low, high], [1, 0, 0, 0]) == 0.75
    np.testing.assert_allclose(statistics([low]), statistics([low[:, :, :5]]))


def test_a_voice_is_heard_however_loud(tmp_path):
    """Recordings are louder and quieter by far more than two voices differ."""
    path = write_data(tmp_path, pictures=80, validation=20)
    rng, tilt = np.random.default_rng(0), np.linspace(-0.05, 0.05, PARAMS.n_mels)[:, None]
    loudness = rng.uniform(-0.2, 0.2, (100, 1, 1, 1))
    turned = tilt * np.resize([1, -1], (100, 1, 1, 1))
    noise = rng.normal(0, 0.05, (100, 1, PARAMS.n_mels, PARAMS.n_frames))
    np.save(path, (loudness + turned + noise).astype(np.float16))
    tell(path, speaker=(Labels(2, ("bright", "dark")), ["bright", "dark"] * 50))
    judge = VoiceJudge(SpectrogramSet(path, condition="speaker"))
    unheard = SpectrogramSet(path, "validation", condition="speaker")
    pictures = [unheard[i].numpy() for i in range(20)]
    for louder in (-0.3, 0.0, 0.3):
        assert judge.share([p + louder for p in pictures], [0, 1] * 10) == 1


def test_a_recording_of_nobody_is_no_voice(judge):
    assert judge.hear([np.full((1, *PARAMS.image_size), -1.0)])[0] in (0, 1)


def test_statistics_of_silence_are_numbers():
    silence = np.full((1, *PARAMS.image_size), -1.0)
    assert np.isfinite(statistics([silence])).all()


@pytest.mark.parametrize(("frames", "seconds"), [(0, 0.0), (5, 0.5), (16, 1.6)])
def test_a_picture_falls_silent(frames, seconds):
    assert spoken_seconds(bright(slice(0, 4), frames), 0.1) == pytest.approx(seconds)
