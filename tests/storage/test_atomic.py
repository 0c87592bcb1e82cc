"""Atomic writes, and what a full disk or a folder that cannot be written leaves behind."""

import errno
from pathlib import Path

import numpy as np
import pytest
from cases import full_disk, leftovers, one_sentence
from transfers import in_workbook

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.storage.atomic import atomic_write, make_folder, naming_the_path

# As root chmod stops nobody; below a regular file and in /proc not even root can write.
BELOW_A_FILE = "a_file/below"
IN_PROC = "/proc/below"


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    (tmp_path / "a_file").write_text("a regular file")
    return in_workbook(tmp_path, monkeypatch)


def test_atomic_write_shows_the_name_only_when_complete(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    (tmp_path / "reader").hardlink_to(path)  # like a memory map of the old content
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path  # a rename from another disk would be a copy
    assert path.read_text() == "new"
    assert (tmp_path / "reader").read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o644
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["長" * 80 + ".npy", "bad\udcff.npy", "-n.npy", "a b"])
def test_atomic_write_takes_any_name_the_disk_takes(tmp_path, name):
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert (tmp_path / name).read_text() == "x"


@pytest.mark.parametrize("place", [BELOW_A_FILE, IN_PROC, "missing/folder"])
def test_a_file_that_cannot_be_written_is_named(workbook, place):
    path = workbook / place / "x.txt"
    with pytest.raises(OSError, match="cannot write") as caught, atomic_write(path):
        pass
    assert one_sentence(caught.value, path)
    assert caught.value.errno


@pytest.mark.parametrize("place", [BELOW_A_FILE, IN_PROC])
def test_a_folder_that_cannot_be_made_is_named(workbook, place):
    with pytest.raises(OSError, match="cannot write") as caught:
        make_folder(workbook / place)
    assert one_sentence(caught.value, workbook / place)


def test_make_folder_makes_parents_and_accepts_an_existing_one(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot write"):
        make_folder(tmp_path / "file")


def test_of_nested_writes_the_one_that_failed_is_named():
    outer, inner = naming_the_path(Path("outer")), naming_the_path(Path("inner"))
    with pytest.raises(OSError, match="inner") as caught, outer, inner:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert one_sentence(caught.value, "cannot write inner: No space left on device")
    assert "outer" not in str(caught.value)
    assert caught.value.errno == errno.ENOSPC


def test_an_error_without_a_number_reads_well():
    with pytest.raises(OSError, match="cannot write") as caught, naming_the_path(Path("x")):
        raise OSError("1000 requested and 10 written")
    assert str(caught.value) == "cannot write x: 1000 requested and 10 written"


def test_an_empty_write_is_an_empty_object_as_it_is_an_empty_file(bucket, workbook):
    for path in ("x.txt", "gs://corpora/x.txt"):
        with atomic_write(path):
            pass
    assert bucket.read("x.txt") == (workbook / "x.txt").read_bytes() == b""


def save_npy(path: Path, noise: np.ndarray) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, noise)


WRITERS = {
    "npy": save_npy,
    "png": save_png,
    "wav": lambda path, noise: save_wav(path, noise.ravel(), 16000),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, kind, capsys):
    path = tmp_path / f"x.{kind}"
    path.write_text("old")
    noise = np.random.default_rng(0).uniform(-1, 1, (64, 256))
    with full_disk(2000), pytest.raises(OSError, match="cannot write") as caught:
        WRITERS[kind](path, noise)
    assert one_sentence(caught.value, path)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_wav_and_png_name_a_place_that_cannot_be_written(workbook):
    place = workbook / BELOW_A_FILE
    for write in (lambda p: save_wav(p, [0.0] * 9, 16000), lambda p: save_png(p, [[0.0]])):
        with pytest.raises(OSError, match="cannot write"):
            write(place / "x")
