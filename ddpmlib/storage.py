"""Where things lie: one place that turns a path argument into a local file, and back.

A path is a local path or `gs://bucket/name`. What is fetched from a bucket is kept in
`data/cache/`, addressed by its content, so that nothing is downloaded twice.
"""

import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ddpmlib import buckets

TRANSFERS = 8  # at once: a folder of short recordings is many small objects
LAST = "checkpoint.pt"  # of a folder: what it says is done lies beside it


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

    A relative path is looked for from the current folder, then in `data/`. An object or a folder
    of a bucket is downloaded into `data/cache/` unless its content already is there.

    Raises:
        FileNotFoundError: naming the path and the places looked at.
        OSError: it cannot be downloaded, see `buckets.explained`, or there is no space.
    """
    if buckets.is_bucket(path):
        return _fetch_from_bucket(path)
    path = Path(path).expanduser()
    places = [path] if path.is_absolute() else [Path.cwd() / path, data_folder() / path]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"{path} does not exist; looked at {' and '.join(map(str, places))}")


def fetch_beside(path: str | Path, suffix: str) -> Path | None:
    """The local file that differs from a path argument in its suffix only; None without one."""
    try:
        return fetch(Path(path).with_suffix(suffix))
    except FileNotFoundError:
        return None


def publish(local: str | Path, destination: str | Path) -> None:
    """Bring a finished local file or folder to a gs:// destination.

    Of a folder, what differs from the bucket is uploaded, a checkpoint last, hidden files never;
    nothing is deleted there.

    Raises:
        ValueError: the destination is not in a bucket.
        OSError: see `buckets.explained`.
    """
    buckets.split(destination)
    if not (local := Path(local)).is_dir():
        return buckets.upload(local, destination)
    try:
        there = buckets.find(destination)
    except FileNotFoundError:
        there = {}
    files = {path.relative_to(local).as_posix(): path for path in sorted(local.rglob("*"))}

    def upload(name: str) -> None:
        if name not in there or not buckets.same(files[name], there[name]):
            buckets.upload(files[name], f"{buckets.canonical(destination)}/{name}")

    hidden = [name for name in files if any(part.startswith(".") for part in name.split("/"))]
    _each(upload, [name for name in files if name not in hidden and files[name].is_file()])


def download(source: str | Path, folder: str | Path) -> None:
    """Bring a folder of a bucket to a local folder: what differs, a checkpoint last.

    Raises:
        FileNotFoundError: there is no such folder in the bucket.
        OSError: see `buckets.explained`; a file cannot be written.
    """
    blobs = buckets.find(source)

    def bring(name: str) -> None:
        file = Path(folder) / (name or Path(source).name)
        if not buckets.same(file, blobs[name]):
            _download(blobs[name], file)

    _each(bring, list(blobs))


def bucket_path(bucket: str, name: str) -> str:
    """gs:// path of an object in a bucket given with or without its gs:// prefix."""
    return f"gs://{bucket.removeprefix('gs://').strip('/')}/{name}"


def _fetch_from_bucket(path: str | Path) -> Path:
    """An object's content in the cache; of a folder, one of links to the contents."""
    cache, blobs = data_folder() / "cache", buckets.find(path)
    contents = {
        name: cache / buckets.address(blob) / Path(blob.name).name for name, blob in blobs.items()
    }

    def bring(name: str) -> None:
        if not buckets.same(contents[name], blobs[name]):
            _download(blobs[name], contents[name])

    _each(bring, list(blobs))
    return contents.get("") or _folder_of_links(contents, cache, Path(path).name)


def _folder_of_links(contents: dict[str, Path], cache: Path, name: str) -> Path:
    listing = "\n".join(f"{below}\t{content}" for below, content in sorted(contents.items()))
    folder = cache / hashlib.sha256(listing.encode()).hexdigest()[:32] / name
    if not folder.exists():
        make_folder(folder.parent)
        with naming_the_path(folder), tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            for below, content in contents.items():
                link = Path(temporary, "new", below)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(content)
            try:
                Path(temporary, "new").rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
    return folder


def _download(blob, file: Path) -> None:
    make_folder(file.parent)
    with atomic_write(file) as temporary:
        buckets.download(blob, temporary)


def _each(transfer: Callable[[str], None], names: list[str]) -> None:
    """Several at once; a checkpoint when all others are done."""
    names = sorted(names, key=_is_last)
    with ThreadPoolExecutor(TRANSFERS) as pool:
        for _, group in itertools.groupby(names, key=_is_last):
            list(pool.map(transfer, group))


def _is_last(name: str) -> bool:
    return name.rpartition("/")[2] == LAST


@contextlib.contextmanager
def naming_the_path(path: Path) -> Iterator[None]:
    """Turn a failed write into an OSError whose one sentence names the path."""
    try:
        yield
    except buckets.BucketError:  # names its path
        raise
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on failure.

    Nobody ever sees half a file: the name appears only when the content is complete. For a gs://
    path, the content is uploaded on success.

    Raises:
        OSError: no space, no permission: one sentence naming the final path.
    """
    if buckets.is_bucket(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / Path(path).name
            buckets.upload(Path(folder) / Path(path).name, path)
        return
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
        ValueError: it would be in a bucket.
    """
    if buckets.is_bucket(path):
        raise ValueError(f"{path} is in a bucket; needed: a local folder, to work in")
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
