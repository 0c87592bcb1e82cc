"""Alignment of a folder: only what is new, wrong texts named, and the batch goes on."""

import json
import shutil

import numpy as np
import pytest
from cases import CORPUS, RATE, write
from spoken import texts

from ddpmlib.spectrogram.params import PRESETS, SpectrogramParams
from ddpmlib.text import corpus
from ddpmlib.text.corpus import (
    ALIGNMENTS,
    Aligner,
    align_recordings,
    alignment_summary,
    alignments_path,
    read_alignments,
    write_alignments,
)
from ddpmlib.text.pronunciation import Lexicon

FILES = ("001.ogg", "002.ogg", "003.ogg", "009.ogg", "014.ogg")
PARAMS = SpectrogramParams()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder of five recordings, and one for alignments, where all are aligned."""
    root, into = (tmp_path_factory.mktemp(name) for name in ("recordings", "into"))
    for file in FILES:
        shutil.copy(CORPUS / file, root)
    align_recordings(root, into, known(), PARAMS, workers=1)
    return root, into


@pytest.fixture
def folders(first, tmp_path):
    """The same, to be changed."""
    return tuple(shutil.copytree(path, tmp_path / path.name) for path in first)


@pytest.fixture
def ran(monkeypatch):
    """Files that were opened, one after the other."""
    names, load = [], corpus.load_audio

    def spy(path, rate):
        names.append(path.name)
        return load(path, rate)

    monkeypatch.setattr(corpus, "load_audio", spy)
    return names


def known(**changes: str) -> dict[str, tuple[str, str]]:
    """SHA-256 and text by file, some texts changed."""
    mine = {file: texts()[file] for file in FILES} | {f"{n}.ogg": t for n, t in changes.items()}
    return {file: (f"hash of {file}", text) for file, text in mine.items()}


def lines(into) -> list[dict]:
    return [json.loads(line) for line in (into / ALIGNMENTS).read_text("utf-8").splitlines()]


def test_all_recordings_are_aligned_with_one_line_each(first):
    _, into = first
    assert [line["file"] for line in lines(into)] == list(FILES)
    for line in lines(into):
        assert line["reason"] == ""
        assert line["alignment"]["score"] > -15
        ends = [phone["end"] for phone in line["alignment"]["phones"]]
        assert ends[-1] == pytest.approx(line["samples"] / RATE)


def test_a_second_call_runs_nothing(folders, ran):
    before = (folders[1] / ALIGNMENTS).read_bytes()
    found = align_recordings(*folders, known(), PARAMS, workers=1)
    assert ran == []
    assert set(found) == set(FILES)
    assert all(one.alignment for one in found.values())
    assert (folders[1] / ALIGNMENTS).read_bytes() == before


def test_a_line_that_was_cut_short_is_done_again(folders, ran):
    path = folders[1] / ALIGNMENTS
    before = path.read_bytes()
    path.write_bytes(before[:-200])
    align_recordings(*folders, known(), PARAMS, workers=1)
    assert ran == [FILES[-1]]
    assert path.read_bytes() == before


def test_each_recording_is_on_disk_as_soon_as_it_is_finished(folders, monkeypatch):
    root, into = folders
    (into / ALIGNMENTS).unlink()
    load, seen = corpus.load_audio, []

    def crash(path, rate):
        seen.append(path.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return load(path, rate)

    monkeypatch.setattr(corpus, "load_audio", crash)
    with pytest.raises(KeyboardInterrupt):
        align_recordings(root, into, known(), PARAMS, workers=1)
    align_recordings(root, into, known(), PARAMS, workers=1)
    assert seen == [*FILES[:3], *FILES[2:]]


def test_changed_texts_and_recordings_are_done_again_and_lost_ones_forgotten(folders, ran):
    changed = known()
    changed["001.ogg"] = ("hash of 001.ogg", texts()["001.ogg"].replace("lock", "rock"))
    changed["003.ogg"] = ("another hash", texts()["003.ogg"])
    del changed["014.ogg"]
    found = align_recordings(*folders, changed, PARAMS, workers=1)
    assert ran == ["001.ogg", "003.ogg"]
    assert "rock" in [word.name for word in found["001.ogg"].alignment.words]
    assert [line["file"] for line in lines(folders[1])] == list(FILES[:-1])


def test_other_pronunciations_are_another_alignment(folders, ran, tmp_path):
    (tmp_path / "own.txt").write_text("rather\tR UW DH ER\n")
    only = {"001.ogg": known()["001.ogg"]}
    aligner = Aligner(Lexicon(tmp_path / "own.txt"))
    found = align_recordings(*folders, only, PARAMS, aligner, workers=1)
    assert "UW" in [phone.name for phone in found["001.ogg"].alignment.phones]
    (tmp_path / "own.txt").write_text("rather\tR IY DH ER\n")
    aligner = Aligner(Lexicon(tmp_path / "own.txt"))
    found = align_recordings(*folders, only, PARAMS, aligner, workers=1)
    assert "IY" in [phone.name for phone in found["001.ogg"].alignment.phones]
    assert ran == ["001.ogg"] * 2


def test_texts_of_other_recordings_are_named_and_never_aligned(folders):
    swapped = known(**{"001": texts()["002.ogg"], "002": texts()["001.ogg"]})
    found = align_recordings(*folders, swapped, PARAMS, workers=1)
    for file in ("001.ogg", "002.ogg"):
        assert found[file].alignment is None
        assert found[file].reason.startswith("the recording does not fit")
    assert all(found[file].alignment for file in FILES[2:])
    summary = alignment_summary(found)
    assert summary.startswith("3 of 5 recordings aligned with their texts")
    assert "not aligned 001.ogg: the recording does not fit 'turn left at the shoe" in summary


def test_a_low_score_is_named_with_that_of_another_text(folders):
    found = align_recordings(*folders, known(**{"001": "The."}), PARAMS, workers=1)
    assert found["001.ogg"].alignment is None
    assert found["001.ogg"].reason.startswith("score -4")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The хлеб is good.", "cannot pronounce 'хлеб'"),
        ("", "no text is known"),
        ("?!", "no text is known"),
    ],
)
def test_a_text_without_phones_is_named(text, reason, folders):
    found = align_recordings(*folders, known(**{"001": text}), PARAMS, workers=1)
    assert found["001.ogg"].alignment is None
    assert reason in found["001.ogg"].reason
    assert all(found[file].alignment for file in FILES[1:])


def test_a_summary_is_ten_names_long():
    lost = {f"{i}.wav": corpus.Aligned(f"{i}.wav", "", "", reason="lost") for i in range(13)}
    lost["a\udcff.wav"] = corpus.Aligned("a\udcff.wav", "", "")
    shown = alignment_summary(lost)
    assert shown.startswith("1 of 14 recordings aligned")
    assert shown.count("not aligned") == 10
    assert shown.endswith("... and 3 more, all named in alignments.jsonl")
    shown.encode("utf-8")


def test_a_file_that_cannot_be_read_stops_nothing_and_is_tried_again(folders, ran):
    root, into = folders
    texts_now = known(**{"new": texts()["001.ogg"]})
    found = align_recordings(root, into, texts_now, PARAMS, workers=1)
    assert found["new.ogg"].reason.startswith("FileNotFoundError: ")
    shutil.copy(root / "001.ogg", root / "new.ogg")
    found = align_recordings(root, into, texts_now, PARAMS, workers=1)
    assert found["new.ogg"].alignment == found["001.ogg"].alignment
    assert ran == ["new.ogg"] * 2


def test_a_fault_of_the_aligner_stops_nothing(folders, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory")

    (folders[1] / ALIGNMENTS).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "align", fail)
        found = align_recordings(*folders, known(), PARAMS, workers=1)
    assert {one.reason for one in found.values()} == {"RuntimeError: no memory"}
    found = align_recordings(*folders, known(), PARAMS, workers=1)
    assert all(one.alignment for one in found.values())


def test_another_sample_rate_has_the_same_times(first, tmp_path):
    params, (_, into) = PRESETS["80 mels"], first
    assert params.sample_rate == 22_050
    other = align_recordings(first[0], tmp_path, known(), params, workers=1)
    for line in lines(into):
        one = other[line["file"]]
        assert one.samples == pytest.approx(line["samples"] * 22_050 / RATE, abs=400)
        assert one.alignment.phones[-1].end == pytest.approx(one.samples / 22_050, abs=1e-4)
        starts = [[word.start for word in one.alignment.words]]
        starts.append([word["start"] for word in line["alignment"]["words"]])
        assert np.abs(np.subtract(*starts)).max() < 0.05


@pytest.mark.slow
def test_two_processes_align_as_one(folders):
    before = (folders[1] / ALIGNMENTS).read_bytes()
    (folders[1] / ALIGNMENTS).unlink()
    align_recordings(*folders, known(), PARAMS, workers=2)
    assert (folders[1] / ALIGNMENTS).read_bytes() == before


def test_alignments_of_a_data_set_lie_beside_it(first, tmp_path):
    found = align_recordings(*first, known(), PARAMS, workers=1)
    found["lost.ogg"] = corpus.Aligned("lost.ogg", "", "", reason="lost")
    npy = tmp_path / "my.npy"
    assert read_alignments(npy) == {}
    assert alignments_path(npy) == tmp_path / "my.alignments.json"
    write_alignments(alignments_path(npy), found)
    assert read_alignments(npy) == {file: found[file].alignment for file in FILES}


def test_a_damaged_recording_is_named(folders):
    write(folders[0] / "silent.wav", np.zeros(RATE))
    mine = known() | {"silent.wav": ("hash", "Hello.")}
    found = align_recordings(*folders, mine, PARAMS, workers=1)
    assert found["silent.wav"].reason.startswith("silent: ")
