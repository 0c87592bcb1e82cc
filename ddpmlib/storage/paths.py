"""Where things lie: one place that turns a path argument into a local file, and back.

A path is a local path or `gs://bucket/name`. Downloads from a bucket go to `data/cache/`,
addressed by their content, so that nothing is downloaded twice.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ddpmlib.storage import google_cloud
from ddpmlib.storage.atomic import (
    atomic_write,
    make_folder,
    naming_the_path,
    no_empty_folders,
)

TRANSFERS = 8  # at once: a folder of short recordings is many small objects
LAST = "checkpoint.pt"  # of a folder: the files that it refers to lie beside it


def data_folder() -> Path:
    """The workbook's `data/`, seen from the current folder (top level or notebooks/).

    Falls back to the folder beside this library, so that scripts may run from anywhere.
    """
    for here in (Path.cwd(), Path.cwd().parent):
        if (here / "data" / "README.md").is_file():
            return here / "data"
    return Path(__file__).resolve().parents[2] / "data"


def fetch(path: str | Path) -> Path:
    """The local file or folder behind a path argument.

    A relative path is searched for in the current folder, then in `data/`. An object or a folder
    of a bucket is downloaded into `data/cache/` unless its content already is there.

    Raises:
        FileNotFoundError: naming the path and the places searched.
        OSError: it cannot be downloaded, see `google_cloud.explained`, or there is no space.
    """
    if google_cloud.is_bucket(path):
        return _fetch_from_bucket(path)
    path = Path(path).expanduser()
    places = [path] if path.is_absolute() else [Path.cwd() / path, data_folder() / path]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"{path} does not exist; searched {' and '.join(map(str, places))}")


def fetch_beside(path: str | Path, suffix: str) -> Path | None:
    """The local file that differs from a path argument in its suffix only; None without one."""
    try:
        return fetch(Path(path).with_suffix(suffix))
    except FileNotFoundError:
        return None


def publish(local: str | Path, destination: str | Path) -> None:
    """Bring a finished local file or folder to a gs:// destination.

    Of a folder, what differs from the bucket is uploaded, a checkpoint last, hidden files never;
    nothing is deleted there. Raises ValueError: the destination is not in a bucket; OSError: see
    `google_cloud.explained`.
    """
    destination = google_cloud.canonical(destination)
    if not (local := Path(local)).is_dir():
        return google_cloud.upload(local, destination)
    try:
        there = google_cloud.find(f"{destination}/")
    except FileNotFoundError:
        there = {}

    def upload(file: Path) -> None:
        name = file.relative_to(local).as_posix()
        try:
            if name not in there or not google_cloud.same(file, there[name]):
                google_cloud.upload(file, f"{destination}/{name}")
        except FileNotFoundError:
            if file.exists():  # else whoever works in the folder has deleted it meanwhile
                raise

    files = (path for path in sorted(local.rglob("*")) if path.is_file())
    _for_each(upload, [p for p in files if "/." not in f"/{p.relative_to(local).as_posix()}"])


def download(source: str | Path, folder: str | Path) -> None:
    """Bring a folder (or an object) of a bucket to a local folder: what differs, a checkpoint last.

    Raises FileNotFoundError: nothing is there; OSError: see `google_cloud.explained`.
    """
    try:
        blobs = google_cloud.find(f"{google_cloud.canonical(source)}/")
    except FileNotFoundError:
        blobs = google_cloud.find(source)
    _download({Path(folder) / (name or Path(source).name): blob for name, blob in blobs.items()})


def bucket_path(bucket: str, name: str) -> str:
    """gs:// path of an object in a bucket given with or without its gs:// prefix."""
    return f"gs://{bucket.removeprefix('gs://').strip('/')}/{name}"


def _fetch_from_bucket(path: str | Path) -> Path:
    """Contents in the cache, each once; and the names below the path, as links to them."""
    cache, blobs = data_folder() / "cache", google_cloud.find(path)
    name = google_cloud.canonical(path).rpartition("/")[2]
    addresses = {
        f"{name}/{below}".removesuffix("/"): google_cloud.address(blob)
        for below, blob in blobs.items()
    }
    contents = zip(addresses.values(), blobs.values(), strict=True)
    _download({cache / "contents" / address: blob for address, blob in contents})
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


def _download(blobs: dict) -> None:
    """Objects by the local file that each shall be in; what is there already is not transferred."""

    def bring(file: Path) -> None:
        if not google_cloud.same(file, blobs[file]):
            make_folder(file.parent)
            with atomic_write(file) as temporary:
                google_cloud.download(blobs[file], temporary)

    with no_empty_folders(*{file.parent for file in blobs}):
        _for_each(bring, blobs)


def _for_each(transfer: Callable[[Path], None], files: Iterable[Path]) -> None:
    """Several transfers at once; those of checkpoints when all others are done."""
    files = list(files)
    with ThreadPoolExecutor(TRANSFERS) as pool:
        for last in (False, True):
            list(pool.map(transfer, [file for file in files if (file.name == LAST) == last]))
