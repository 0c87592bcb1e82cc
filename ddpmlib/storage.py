"""Where things lie: one place that turns a path argument into a local file, and back.

A path is a local path or `gs://bucket/name`. What is fetched from a bucket is kept in
`data/cache/`, addressed by its content, so that nothing is downloaded twice.
"""

import contextlib
import hashlib
import itertools
import json
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
    destination = buckets.canonical(destination)
    if not (local := Path(local)).is_dir():
        return buckets.upload(local, destination)
    try:
        there = buckets.find(f"{destination}/")
    except FileNotFoundError:
        there = {}
    files = {path.relative_to(local).as_posix(): path for path in sorted(local.rglob("*"))}

    def upload(name: str) -> None:
        try:
            if name not in there or not buckets.same(files[name], there[name]):
                buckets.upload(files[name], f"{destination}/{name}")
        except FileNotFoundError:
            if files[name].exists():  # else whoever works in the folder has deleted it meanwhile
                raise

    _each(upload, [name for name in files if "/." not in f"/{name}" and files[name].is_file()])


def download(source: str | Path, folder: str | Path) -> None:
    """Bring a folder (or an object) of a bucket to a local folder: what differs, a checkpoint last.

    Raises:
        FileNotFoundError: there is no such thing in the bucket.
        OSError: see `buckets.explained`; a file cannot be written.
    """
    try:
        blobs = buckets.find(f"{buckets.canonical(source)}/")
    except FileNotFoundError:
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
    """Contents in the cache, each once; and what the path names, as links to them."""
    cache, blobs = data_folder() / "cache", buckets.find(path)
    name = buckets.canonical(path).rpartition("/")[2]
    addresses = {
        f"{name}/{below}".removesuffix("/"): buckets.address(blob) for below, blob in blobs.items()
    }
    contents = dict(zip(addresses.values(), blobs.values(), strict=True))

    def bring(address: str) -> None:
        file = cache / "contents" / address
        if not buckets.same(file, contents[address]):
            _download(contents[address], file)

    _each(bring, list(contents))
    listing = json.dumps(sorted(addresses.items()))
    here = cache / "names" / hashlib.sha256(listing.encode()).hexdigest()[:32]
    for below, address in addresses.items():
        _link(here / below, cache / "contents" / address)
    return here / name


def _link(link: Path, content: Path) -> None:
    with naming_the_path(link):
        target = os.path.relpath(content, link.parent)  # outlives that the workbook is moved
        if link.is_symlink() and os.readlink(link) == target:
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was faster
            link.symlink_to(target)


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
def naming_the_path(path: str | Path) -> Iterator[None]:
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
        path = buckets.canonical(path)
        with naming_the_path(path), tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, Path(path).name)
            temporary.touch()
            yield temporary
            buckets.upload(temporary, path)
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


def write_array(
    path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray], dtype: str = "<f2"
) -> None:
    """Write parts behind each other as one `.npy` of a shape, one in memory at a time.

    As a stream: np.save hides why a write failed, and a full disk under a memory map would kill
    the process.

    Raises:
        OSError: no space.
    """
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part, dtype))


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


def _cannot_write(path: str | Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    if reason.startswith("cannot write "):  # of a file written while this one was open
        return error
    message = f"cannot write {path}: {reason}"
    # numpy reports a short write without a number.
    return OSError(error.errno, message) if error.errno else OSError(message)
