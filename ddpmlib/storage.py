"""Where things lie: one place that turns a path argument into a local file, and back.

A path is a local path or `gs://bucket/name`. Buckets are refused with a clear sentence for now;
every caller already comes through `fetch` and `publish`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np


def data_folder() -> Path:
    """The workbook's `data/`, seen from the current folder (top level or notebooks/).

    Falls back to the folder beside this library, so that scripts may run from anywhere.
    """
    for here in (Path.cwd(), Path.cwd().parent):
        if (here / "data" / "README.md").is_file():
            return here / "data"
    return Path(__file__).resolve().parents[1] / "data"


def fetch(path: str | Path) -> Path:
    """The local file or folder behind a path argument.

    A relative path is looked for from the current folder, then in `data/`.

    Raises:
        FileNotFoundError: naming the path and the places looked at.
        NotImplementedError: for gs:// paths.
    """
    _refuse_bucket(path)
    path = Path(path).expanduser()
    places = [path] if path.is_absolute() else [Path.cwd() / path, data_folder() / path]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"{path} does not exist; looked at {' and '.join(map(str, places))}")


def publish(local: Path, destination: str | Path) -> None:
    """Make a finished local file or folder visible under a gs:// destination.

    Raises:
        NotImplementedError: always, until buckets are supported.
    """
    _refuse_bucket(destination)
    raise ValueError(f"destination {destination!s} of {local} is not a gs://bucket/name path")


def bucket_path(bucket: str, name: str) -> str:
    """gs:// path of an object in a bucket given with or without its gs:// prefix."""
    return f"gs://{bucket.removeprefix('gs://').strip('/')}/{name}"


def _refuse_bucket(path: str | Path) -> None:
    if str(path).startswith("gs:/"):
        raise NotImplementedError(
            f"{path}: gs:// paths are not supported yet; copy the file into data/ and give its name"
        )


@contextlib.contextmanager
def naming_the_path(path: Path) -> Iterator[None]:
    """Turn a failed write into an OSError whose one sentence names the path."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on failure.

    Nobody ever sees half a file: the name appears only when the content is complete.

    Raises:
        OSError: no space, no permission: one sentence naming the final path.
        NotImplementedError: for gs:// paths.
    """
    _refuse_bucket(path)
    path = Path(path)
    with naming_the_path(path):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        os.close(handle)
        temporary = Path(temporary)
        try:
            yield temporary
            temporary.chmod(0o644)  # mkstemp makes files private to their owner
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_array(path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """Write parts behind each other as one float16 `.npy` of a shape, one in memory at a time.

    As a stream: np.save hides why a write failed, and a full disk under a memory map would kill
    the process.

    Raises:
        OSError: no space.
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part, "<f2"))


def make_folder(path: str | Path) -> Path:
    """Create a folder (and its parents) unless it exists.

    Raises:
        OSError: one sentence naming the folder.
        NotImplementedError: for gs:// paths.
    """
    _refuse_bucket(path)
    path = Path(path)
    with naming_the_path(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _cannot_write(path: Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    if reason.startswith("cannot write "):  # of a file written while this one was open
        return error
    message = f"cannot write {path}: {reason}"
    # numpy reports a short write without a number.
    return OSError(error.errno, message) if error.errno else OSError(message)
