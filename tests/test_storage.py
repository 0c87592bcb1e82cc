"""Paths, atomic writes, and what a full disk or a folder that cannot be written leaves behind."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import leftovers, one_sentence, python
from tiny import NETWORK, PARAMS

from ddpmlib.audio import load_audio, save_wav
from ddpmlib.ddpm import DDPM
from ddpmlib.spectrogram import load_png, save_png
from ddpmlib.storage import (
    atomic_write,
    bucket_path,
    data_folder,
    fetch,
    make_folder,
    naming_the_path,
)
from ddpmlib.unet import UNet

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


def test_writers_and_readers_take_paths_in_a_bucket(bucket, workbook):
    picture, sound = np.linspace(-1, 1, 64).reshape(8, 8), np.linspace(-0.5, 0.5, 8000)
    model = DDPM(UNet(NETWORK), PARAMS)
    for kind in (str, Path):
        save_png(kind("gs://corpora/a/x.png"), picture)
        save_wav(kind("gs://corpora/a/x.wav"), sound, 16000)
        model.save(kind("gs://corpora/a/model.safetensors"), step=3)
        with atomic_write(kind("gs://corpora/a/x.txt")) as temporary:
            assert temporary.name == "x.txt"
            temporary.write_text("text")
        assert bucket.names() == [
            f"a/{n}" for n in ("model.safetensors", "x.png", "x.txt", "x.wav")
        ]
        assert load_png(kind("gs://corpora/a/x.png")) == pytest.approx(picture, abs=0.01)
        assert load_audio(kind("gs://corpora/a/x.wav"), 16000).samples == pytest.approx(
            sound, abs=1e-3
        )
        assert fetch(kind("gs://corpora/a/x.txt")).read_text() == "text"
        for path in ("gs://corpora/a/model.safetensors", "gs://corpora/a"):
            loaded = DDPM.load(kind(path)).network.state_dict()
            assert all(torch.equal(loaded[n], w) for n, w in model.network.state_dict().items())
        for name in bucket.names():
            bucket.delete(name)
    assert not (workbook / "gs:").exists()


def test_an_empty_write_is_an_empty_object_as_it_is_an_empty_file(bucket, workbook):
    for path in ("x.txt", "gs://corpora/x.txt"):
        with atomic_write(path):
            pass
    assert bucket.read("x.txt") == (workbook / "x.txt").read_bytes() == b""


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
