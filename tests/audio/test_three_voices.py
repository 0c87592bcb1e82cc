"""Three voices out of one, each with sentences of its own."""

import csv

import pytest
import soundfile
from cases import CORPUS, loudest_hz

from ddpmlib.audio.recording import load_audio
from ddpmlib.audio.three_voices import SPEEDS, TABLE, make_voices


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
    faster = load_audio(folder / rows[2]["file"], 16_000).samples
    original = load_audio(CORPUS / "003.ogg", 16_000).samples
    assert loudest_hz(faster) == pytest.approx(1.25 * loudest_hz(original), rel=0.01)
    assert {path.name for path in folder.parent.iterdir()} == {"three_voices"}


def test_voices_that_are_there_are_left_alone(workbook):
    folder = make_voices()
    (folder / "note.txt").write_text("mine")
    assert make_voices() == folder
    assert (folder / "note.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_and_is_reported(workbook, monkeypatch):
    def fails(*_):
        raise PermissionError("no")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="no"):
        make_voices()
    assert not list((workbook / "data" / "corpora").iterdir())
