"""A folder of recordings -> arrays and a manifest: what is used, redone, split, interrupted."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases import (
    IGNORE,
    RATE,
    SKIP,
    USE,
    difficult_recordings,
    hostile_recordings,
    leftovers,
    one_sentence,
    python,
    vowel,
    write,
)

from ddpmlib import preparation
from ddpmlib.audio import AudioError, augmentations
from ddpmlib.dataset import summary
from ddpmlib.preparation import MANIFEST, Preparation, cut, prepare, read_manifest
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams

SEQUENTIAL = {"workers": 1}


@pytest.fixture
def folder(tmp_path):
    """Twelve short recordings that differ."""
    for i in range(12):
        write(tmp_path / "in" / f"{i:02}.wav", vowel(0.1 + 0.01 * i, hz=100 + 5 * i))
    return tmp_path / "in"


@pytest.fixture
def prepared(monkeypatch):
    """Names of the recordings that are really worked on, in order."""
    names, work = [], preparation._prepare_one

    def noting(root, into, entry, how):
        names.append(entry.file)
        return work(root, into, entry, how)

    monkeypatch.setattr(preparation, "_prepare_one", noting)
    return names


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".npy"}


def splits(entries) -> dict[str, str]:
    return {entry.file: entry.split for entry in entries}


# --- what is used


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


def test_hostile_files_neither_stop_nor_hang_the_batch(tmp_path, prepared):
    (tmp_path / "in").mkdir()
    verdicts = hostile_recordings(tmp_path / "in")
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    check_verdicts(verdicts, tmp_path / "out", entries)
    text = summary(entries, DEFAULT)
    assert text.encode()  # can be printed
    assert "more skipped" in text or text.count("skipped ") == 9
    prepared.clear()
    prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert prepared == []  # the manifest keeps odd names


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
    opened = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "05.wav":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    entries = prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert [(e.file, "denied" in e.reason) for e in entries if e.reason] == [("05.wav", True)]


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


def test_a_manifest_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).symlink_to("/dev/full")  # every write there: no space left
    with pytest.raises(OSError, match=f"cannot write .*{MANIFEST}.*No space left"):
        prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)


FULL_DISK = """
import resource, sys
from ddpmlib.preparation import Preparation, prepare
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # an array has 32,896 bytes
try:
    prepare(*sys.argv[1:3], Preparation(augment=True), workers=int(sys.argv[3]))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_the_batch_and_harms_nothing(folder, tmp_path, workers):
    out = tmp_path / "out"
    prepare(folder, out, Preparation(), **SEQUENTIAL)
    before, entries = content(out), read_manifest(out)
    done = python(FULL_DISK, folder, out, workers)
    assert re.fullmatch(rf"\[Errno 27\] cannot write {out}/.*\.npy: .*\n", done.stdout), done
    assert content(out) == before
    assert leftovers(out) == []
    assert read_manifest(out)[: len(entries)] == entries


# --- the same again


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
