"""Paths, atomic writes, and what a full disk or a folder that cannot be written leaves behind."""

import errno
from pathlib import Path

import pytest
from cases import leftovers, one_sentence, python

from ddpmlib.audio import save_wav
from ddpmlib.spectrogram import save_png
from ddpmlib.storage import (
    atomic_write,
    bucket_path,
    data_folder,
    fetch,
    make_folder,
    naming_the_path,
    publish,
)

# As root chmod stops nobody; below a regular file and in /proc not even root can write.
BELOW_A_FILE = "a_file/below"
IN_PROC = "/proc/below"


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A folder that looks like the workbook's top level, as the current folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("here")
    (tmp_path / "a_file").write_text("a regular file")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_folder_is_found_from_the_top_level_and_from_notebooks(workbook, monkeypatch):
    assert data_folder() == workbook / "data"
    (workbook / "notebooks").mkdir()
    monkeypatch.chdir(workbook / "notebooks")
    assert data_folder() == workbook / "data"


def test_data_folder_elsewhere_is_beside_the_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_folder() == Path(__file__).parents[1] / "data"


def test_fetch_looks_in_the_current_folder_then_in_data(workbook):
    (workbook / "data" / "x.npy").write_text("in data")
    assert fetch("x.npy") == workbook / "data" / "x.npy"
    (workbook / "x.npy").write_text("here")
    assert fetch("x.npy") == workbook / "x.npy"
    assert fetch(workbook / "data" / "x.npy") == workbook / "data" / "x.npy"


def test_fetch_expands_the_home_folder(workbook, monkeypatch):
    monkeypatch.setenv("HOME", str(workbook))
    assert fetch("~/a_file") == workbook / "a_file"


def test_fetch_names_the_places_it_looked_at(workbook):
    with pytest.raises(FileNotFoundError) as caught:
        fetch("missing.npy")
    assert one_sentence(caught.value, workbook / "missing.npy", workbook / "data" / "missing.npy")


@pytest.mark.parametrize("path", ["gs://bucket/name.npy", Path("gs://bucket/name.npy")])
@pytest.mark.parametrize("use", [fetch, make_folder, lambda p: publish(Path("x"), p)])
def test_buckets_are_refused_by_name_for_now(path, use, workbook):
    with pytest.raises(NotImplementedError) as caught:
        use(path)
    assert one_sentence(caught.value, "gs:/", "bucket/name.npy", "not supported")
    assert not (workbook / "gs:").exists()


def test_atomic_write_refuses_a_bucket(workbook):
    with pytest.raises(NotImplementedError, match="gs://bucket"), atomic_write("gs://bucket/x"):
        pass
    assert not (workbook / "gs:").exists()


def test_publish_to_a_local_path_is_an_error():
    with pytest.raises(ValueError, match=r"runs/x.*not a gs://"):
        publish(Path("x"), "runs/x")


@pytest.mark.parametrize("bucket", ["b", "gs://b", "gs://b/", "b/"])
def test_bucket_path_with_and_without_prefix(bucket):
    assert bucket_path(bucket, "x.npy") == "gs://b/x.npy"


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
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
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


FULL_DISK = """
import resource, sys
import numpy as np
from ddpmlib.audio import save_wav
from ddpmlib.spectrogram import save_png
from ddpmlib.storage import atomic_write
kind, path = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # longer files fail, as on a full disk
noise = np.random.default_rng(0).uniform(-1, 1, (64, 256))
try:
    if kind == "npy":
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, noise)
    elif kind == "png":
        save_png(path, noise)
    else:
        save_wav(path, noise.ravel(), 16000)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("kind", ["npy", "png", "wav"])
def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    path.write_text("old")
    done = python(FULL_DISK, kind, path)
    assert "cannot write" in done.stdout, done.stderr
    assert str(path) in done.stdout
    assert done.stdout.count("\n") == 1
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_wav_and_png_name_a_place_that_cannot_be_written(workbook):
    place = workbook / BELOW_A_FILE
    for write in (lambda p: save_wav(p, [0.0] * 9, 16000), lambda p: save_png(p, [[0.0]])):
        with pytest.raises(OSError, match="cannot write"):
            write(place / "x")
