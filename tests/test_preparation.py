"""A folder of recordings -> arrays and a manifest: what is used, redone, split, interrupted."""

import re
from pathlib import Path

import numpy as np
import pytest
from cases import (
    IGNORE,
    SKIP,
    USE,
    content,
    difficult_recordings,
    hostile_recordings,
    leftovers,
    one_sentence,
    python,
    twelve_recordings,
    vowel,
    write,
)

from ddpmlib import preparation
from ddpmlib.audio import AudioError
from ddpmlib.manifest import MANIFEST, read_manifest, summary
from ddpmlib.preparation import Preparation, prepare
from ddpmlib.spectrogram import DEFAULT

SEQUENTIAL = {"workers": 1}


@pytest.fixture
def folder(tmp_path):
    return twelve_recordings(tmp_path / "in")


def check_verdicts(verdicts: dict[str, str], into: Path, entries: list) -> None:
    found = {e.file: USE if e.output else SKIP for e in entries}
    assert found == {name: v for name, v in verdicts.items() if v != IGNORE}
    assert entries == read_manifest(into) == sorted(entries, key=lambda entry: entry.file)
    assert len({e.output for e in entries if e.output}) == sum(bool(e.output) for e in entries)
    for entry in entries:
        if entry.output:
            pictures = np.load(into / entry.output, allow_pickle=False)
            assert pictures.dtype == np.float16
            assert pictures.shape == (entry.pictures, 1, *DEFAULT.image_size), entry
            assert np.abs(pictures).max() <= 1, entry  # fails for NaN too
            assert (pictures.max(axis=(1, 2, 3)) > -0.5).all(), entry
        else:
            assert entry.reason
            assert entry.pictures == 0
    assert leftovers(into) == []


def test_every_difficult_recording_is_used_skipped_or_ignored_as_it_should(tmp_path, capfd):
    verdicts = difficult_recordings(tmp_path / "in")
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    check_verdicts(verdicts, tmp_path / "out", entries)
    assert [e.file for e in entries if e.clipped] == ["overdriven.wav"]
    by_name = {e.file: e for e in entries}
    assert by_name["half_a_minute.wav"].pictures == 8
    assert by_name["plain.wav"].split == by_name["room/plain.wav"].split
    text = summary(entries, DEFAULT)
    skipped = [name for name, verdict in verdicts.items() if verdict == SKIP]
    assert f"{len(entries) - len(skipped)} of {len(entries)} recordings used" in text
    assert all(f"skipped {name}: {by_name[name].reason}" in text for name in skipped)
    assert "1 clipped, e.g. overdriven.wav" in text
    assert capfd.readouterr().err.count("Warning") < 5


def test_hostile_files_neither_stop_nor_hang_the_batch(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    verdicts = hostile_recordings(tmp_path / "in")
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    check_verdicts(verdicts, tmp_path / "out", entries)
    text = summary(entries, DEFAULT)
    assert text.encode()  # can be printed
    assert "more skipped" in text or text.count("skipped ") == 9
    monkeypatch.setattr(preparation, "_prepare_one", None)  # nothing is left to do
    assert prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL) == entries


@pytest.mark.parametrize("error", [MemoryError("too much"), AudioError("bad"), OSError(5, "I/O")])
def test_whatever_is_wrong_with_one_file_the_batch_goes_on(folder, tmp_path, monkeypatch, error):
    load = preparation.audio.load_audio

    def failing(path, rate):
        if path.name == "03.wav":
            raise error
        return load(path, rate)

    monkeypatch.setattr(preparation.audio, "load_audio", failing)
    entries = prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert [e.file for e in entries if e.reason] == ["03.wav"]
    assert str(error) in next(e.reason for e in entries if e.reason)


def test_a_file_that_cannot_be_hashed_is_skipped(folder, tmp_path, monkeypatch):
    (folder / "zero.wav").touch()  # or a file of the system, whose reading may never end
    names, opened = [], Path.open

    def refuse(path, *args, **kwargs):
        names.append(path.name)
        if path.name == "05.wav":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    entries = prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert [(e.file, "denied" in e.reason) for e in entries if e.reason] == [
        ("05.wav", True),
        ("zero.wav", False),
    ]
    assert "04.wav" in names
    assert "zero.wav" not in names


def test_no_folder_and_no_audio_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(tmp_path / "missing", tmp_path / "out", Preparation(), **SEQUENTIAL)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"no audio .*\.txt"):
        prepare(tmp_path, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["a_file/out", "/proc/out"])
def test_an_output_folder_that_cannot_be_written_is_named(folder, tmp_path, place):
    (tmp_path / "a_file").write_text("x")
    with pytest.raises(OSError, match="cannot write") as caught:
        prepare(folder, tmp_path / place, Preparation(), **SEQUENTIAL)
    assert one_sentence(caught.value, tmp_path / place)


FULL_DISK = """
import resource, sys
from ddpmlib.preparation import Preparation, prepare
folder, out, limit, workers = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)
try:
    prepare(folder, out, Preparation(overlap=0.1), int(workers))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_the_batch_and_harms_nothing(folder, tmp_path, workers):
    out = tmp_path / "out"
    prepare(folder, out, Preparation(), **SEQUENTIAL)
    before, entries = content(out), read_manifest(out)
    done = python(FULL_DISK, folder, out, 20_000, workers)  # an array has 32,896 bytes
    assert re.fullmatch(rf"\[Errno 27\] cannot write {out}/.*\.npy: File too large\n", done.stdout)
    assert content(out) == before
    assert leftovers(out) == []
    assert read_manifest(out)[: len(entries)] == entries


def test_a_manifest_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text(50_000 * " ")
    done = python(FULL_DISK, folder, tmp_path / "out", 40_000, 1)
    assert f"cannot write {tmp_path / 'out' / MANIFEST}: File too large" in done.stdout, done
    assert done.stdout.count("\n") == 1
    assert leftovers(tmp_path) == []


def test_two_workers_make_the_same_bytes_as_one(tmp_path):
    difficult_recordings(tmp_path / "in")
    for name in ("half_a_minute.wav", "almost_twelve_seconds.wav"):
        (tmp_path / "in" / name).unlink()  # only for time
    how = Preparation(overlap=0.3, validation_share=0.3)
    one = prepare(tmp_path / "in", tmp_path / "one", how, workers=1)
    two = prepare(tmp_path / "in", tmp_path / "two", how, workers=2)
    assert one == two
    assert content(tmp_path / "one") == content(tmp_path / "two") != {}
    assert (tmp_path / "one" / MANIFEST).read_bytes() == (tmp_path / "two" / MANIFEST).read_bytes()


MANY = """
import resource, sys
from ddpmlib.preparation import Preparation, prepare
peaks = []
for folder in sys.argv[1:3]:
    prepare(folder, folder + "-out", Preparation(), workers=1)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_the_number_of_recordings(tmp_path):
    recording = write(tmp_path / "few" / "a.wav", np.tile(vowel(10), 12))  # 8 MB decoded
    (tmp_path / "few" / "b.wav").hardlink_to(recording)
    (tmp_path / "many").mkdir()
    for i in range(24):
        (tmp_path / "many" / f"{i}.wav").hardlink_to(recording)
    done = python(MANY, tmp_path / "few", tmp_path / "many")
    assert int(done.stdout) < 12, done  # MB; the pictures of all are 23, their sounds 184


def test_workers_never_load_torch():
    done = python("import sys, ddpmlib.preparation; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
