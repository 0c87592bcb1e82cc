"""Files that appear whole or not at all; a failed write is one sentence that names its path."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ddpmlib.storage import google_cloud


@contextlib.contextmanager
def naming_the_path(path: str | Path) -> Iterator[None]:
    """Turn a failed write into an OSError whose one sentence names the path."""
    try:
        yield
    except google_cloud.BucketError:  # names its path
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if reason.startswith("cannot write "):  # another file, written while this one was open
            raise
        message = f"cannot write {path}: {reason}"
        # numpy reports a short write without a number.
        raise (OSError(error.errno, message) if error.errno else OSError(message)) from error


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success its file is renamed to `path`, or uploaded to gs://.

    Nobody ever sees half a file: the name appears only when the content is complete. Raises
    OSError, no space or no permission, in one sentence naming the final path.
    """
    if google_cloud.is_bucket(path):
        path = google_cloud.canonical(path)
        with naming_the_path(path), tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, Path(path).name)
            temporary.touch()
            yield temporary
            google_cloud.upload(temporary, path)
        return
    path = Path(path)
    with naming_the_path(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)  # mkstemp makes files private to their owner
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_array(
    path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray], dtype: str = "<f2"
) -> None:
    """Write parts behind each other as one `.npy` of a shape, one in memory at a time.

    As a stream: np.save hides why a write failed, and a full disk under a memory map would kill
    the process. Raises OSError when there is no space.
    """
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part, dtype))


@contextlib.contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Where what is inside fails, folders that it has made, and their parents, go if empty."""
    paths = {path for folder in folders for path in (folder, *folder.parents)}
    new = {path for path in paths if not os.path.exists(path)}  # pathlib's may be refused
    try:
        yield
    except BaseException:
        for path in sorted(new, reverse=True):  # what is inside first
            with contextlib.suppress(OSError):  # never made, or it holds something
                path.rmdir()
        raise


def make_folder(path: str | Path) -> Path:
    """Create a local folder and its parents unless it exists.

    Raises OSError, one sentence naming the folder; ValueError if it would be in a bucket.
    """
    if google_cloud.is_bucket(path):
        raise ValueError(f"{path} is in a bucket; needed: a local folder, to work in")
    with naming_the_path(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)
