"""Folders of recordings: what cannot be used is named, what is quiet is evaluated as loud."""

import csv
import re

import numpy as np
import pytest
import soundfile
from workspace import ROOT

from ddpmlib.__main__ import main
from ddpmlib.audio.cleaning import LEVEL_DB, rms_db
from ddpmlib.audio.recording import load_audio
from ddpmlib.metrics import folders, speech, statistics
from ddpmlib.metrics.folders import evaluate_folder, read_clips
from ddpmlib.metrics.speech import RATE, ClipScores
from ddpmlib.metrics.statistics import Estimate

CORPUS = ROOT / "data" / "sample_corpus"
COUNT = 4


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # clips are scored in this process


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    with (CORPUS / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        return {row["file"]: row["text"] for row in list(csv.DictReader(stream))[:COUNT]}


@pytest.fixture(scope="module")
def clips(texts) -> list[np.ndarray]:
    return [load_audio(CORPUS / file, RATE).samples for file in texts]


def write(folder, clips, gain=1.0):
    """Clips as 0.wav, 1.wav ... in a folder; in 16 bits, quiet ones would be noisier too."""
    folder.mkdir()
    for i, clip in enumerate(clips):
        soundfile.write(folder / f"{i}.wav", gain * clip, RATE, "FLOAT")
    return folder


def printed(out: str) -> dict[str, str]:
    """Lines of the command by name."""
    return dict(re.match(r"(measured by|\S+) +(.*)", line).groups() for line in out.splitlines())


def test_a_folder_is_evaluated_by_a_command(clips, tmp_path, capsys):
    two, one = write(tmp_path / "two", clips[:2]), write(tmp_path / "one", clips[:1])
    main(["evaluate", str(two)])
    lines = printed(capsys.readouterr().out)
    assert lines["clips"] == "2"
    for package in folders.PACKAGES:
        assert re.search(rf"{package} \d+\.\d+", lines["measured by"])
    assert re.fullmatch(r"0\.\d+ \(0\.\d+ to [01]\.\d+\)", lines["speech_share"])
    assert not {"frechet", "frechet_floor", "word_error"} & lines.keys()
    main(["evaluate", str(one), "--against", str(one)])
    lines = printed(capsys.readouterr().out)
    assert lines["clips"] == "1, against 1"
    assert float(lines["frechet"]) == pytest.approx(0, abs=0.01)  # one clip has no interval
    assert float(lines["bigram_divergence"]) == pytest.approx(0, abs=0.001)
    assert "frechet_floor" not in lines
    with pytest.raises(SystemExit, match="nowhere does not exist"):
        main(["evaluate", "nowhere"])


def test_what_cannot_be_used_is_named_and_the_others_are_evaluated(clips, tmp_path, capsys):
    folder = write(tmp_path / "said", clips[:2])
    (folder / "deeper").mkdir()
    soundfile.write(folder / "deeper" / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "short.wav", clips[0][4000:4400], RATE)
    soundfile.write(folder / "shorter.wav", clips[0][4000:4100], RATE)
    (folder / "damaged.wav").write_bytes(b"RIFF" + bytes(100))
    found = read_clips(folder)
    assert list(found) == ["0.wav", "1.wav"]
    out = capsys.readouterr().out.splitlines()
    assert "deeper/silent.wav is left out: silent: -200 dBFS; needed: above -75" in out
    assert "short.wav is left out: 400 samples; needed: at least 512" in out
    assert "shorter.wav is left out: 100 samples; needed: 320" in out
    assert any(line.startswith("damaged.wav is left out: ") for line in out)
    assert len(out) == 4
    assert evaluate_folder(folder)["clips"] == "2"
    for name in found:
        (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{folder}: 4 recordings, none of them usable; needed: 1"):
        read_clips(folder)


def test_quiet_recordings_are_evaluated_as_loud_ones_and_it_is_said(clips, tmp_path, capsys):
    loud = evaluate_folder(write(tmp_path / "loud", clips), tmp_path / "loud")
    assert "dBFS" not in capsys.readouterr().out
    quiet = evaluate_folder(write(tmp_path / "quiet", clips, 10 ** (-30 / 20)), tmp_path / "loud")
    out = capsys.readouterr().out
    assert "4 of 4 recordings in" in out
    assert "levels of -53 to -53 dBFS; all are evaluated at -23, the level of prepared ones" in out
    assert quiet["dnsmos"].value == pytest.approx(loud["dnsmos"].value, abs=0.02)
    assert quiet["frechet"].value < 0.02
    for clip in read_clips(tmp_path / "quiet").values():
        assert rms_db(clip) == pytest.approx(LEVEL_DB, abs=0.5)


def test_silence_around_a_recording_does_not_make_it_louder(clips, tmp_path):
    padded = np.pad(clips[0], 10 * RATE)
    write(tmp_path / "said", [clips[0], padded])
    one, other = read_clips(tmp_path / "said").values()
    assert np.abs(other[10 * RATE : -10 * RATE] - one).max() < 0.02


def test_frechet_is_said_beside_what_real_speech_would_have(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)

    def scores(count: int, spread: float) -> list[ClipScores]:
        centers = rng.normal(0, spread, (count, 64))
        frames = [rng.normal(center, spread, (60, 64)) for center in centers]
        return [ClipScores(1.0, 0.5, 2.0, 3.0, ("A", "B"), each) for each in frames]

    monkeypatch.setattr(folders, "read_clips", lambda folder: {"0.wav": np.zeros(RATE)})
    for spread, says_nothing in ((0.005, False), (0.3, True)):
        reference, one = scores(9, spread), scores(1, spread)
        monkeypatch.setattr(folders, "score_folder", lambda folder, found=reference: found)
        monkeypatch.setattr(folders, "score_clips", lambda *args, found=one: found)
        found = evaluate_folder("said", "real")
        assert found["clips"] == "1, against 9"
        floor = speech.frechet_floor(1, reference)[1]
        assert found["frechet_floor"].startswith(f"{floor:.3f}, of 1 of the reference to its")
        assert ("needed: some 8 clips" in found["frechet_floor"]) == says_nothing


def test_a_folder_needs_a_text_for_each_recording_that_is_used(tmp_path, clips, monkeypatch):
    (tmp_path / "deeper").mkdir()
    for name, clip in zip(["a.wav", "deeper/b.wav"], clips, strict=False):
        soundfile.write(tmp_path / name, clip, RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)  # and no text of it
    given, table = [], tmp_path / "texts.csv"
    word_error = {"word_error": Estimate(0.5, None, None)}
    monkeypatch.setattr(folders, "score_clips", lambda clips, rate: [])
    monkeypatch.setattr(folders, "evaluate", lambda scores, reference: {})
    monkeypatch.setattr(folders, "score_texts", lambda *args: given.extend(args))
    monkeypatch.setattr(folders, "evaluate_texts", lambda scores: word_error)
    table.write_text('file,text\na.wav,"One, two."\n')
    with pytest.raises(ValueError, match=r"no text of deeper/b\.wav; needed: one of each"):
        evaluate_folder(tmp_path, texts=table)
    table.write_text("b|Three.\na|One, two.\n")  # in the manner of LJSpeech
    found = evaluate_folder(tmp_path, texts=table)
    assert found["word_error"] == word_error["word_error"]
    assert re.search(r"hama \d.*, rapidfuzz \d", found["measured by"])
    sounds, said, rate = given
    assert (said, rate) == (["One, two.", "Three."], RATE)
    assert [len(sound) for sound in sounds] == [len(clip) for clip in clips[:2]]
