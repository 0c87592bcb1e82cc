"""A folder that one process works in at a time, with its mirror in a bucket: who it is, and whether
it still lives."""

import contextlib
import fcntl
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ddpmlib.storage import google_cloud
from ddpmlib.storage.atomic import atomic_write, make_folder

FILE = ".lock"  # hidden: no copy of a run takes it along
HEARTBEAT = 30.0  # seconds between two signs of life
STALE = 150.0  # seconds without one, after which the lock of another host is taken over
AFTER = f" (after {STALE:.0f} s without one it is taken over)"


@contextlib.contextmanager
def locked(folder: Path, mirror: str = "") -> Iterator[None]:
    """Work in a folder, and in its gs:// mirror ("" for none), alone.

    The system itself frees a local folder when its process dies. For other hosts, which share the
    disk or the bucket, FILE says who works there; its time is the last sign of life.

    Raises:
        FileExistsError: another process works there; names place, process and host.
        BucketError: the mirror cannot be read.
    """
    folder, ours = make_folder(folder), {"host": platform.node(), "process": os.getpid()}
    file, ended = folder / FILE, threading.Event()
    handle = os.open(folder, os.O_RDONLY)
    try:
        _refuse_second(handle, file, mirror)
        for place in (str(folder), mirror):
            _sign(place, ours)

        def live() -> None:
            while not ended.wait(HEARTBEAT):
                with contextlib.suppress(OSError):  # the folder was taken away
                    os.utime(file)
                _sign(mirror, ours)

        heart = threading.Thread(target=live, daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join(5)  # an unreachable bucket must not hold up the end
            file.unlink(missing_ok=True)
            _unsign(mirror)
    finally:
        with contextlib.suppress(OSError):  # it was there before, or something is in it now
            folder.rmdir()
        os.close(handle)


def _refuse_second(handle: int, file: Path, mirror: str) -> None:
    here, holder, age = platform.node(), *_holder(str(file.parent))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileExistsError(_sentence(file.parent, holder, age)) from None
    except OSError:  # a disk without such locks
        pass
    if holder and holder["host"] != here and age < STALE:
        raise FileExistsError(_sentence(file.parent, holder, age, AFTER))
    holder, age = _holder(mirror) if mirror else ({}, 0.0)
    if holder and age < STALE and (holder["host"] != here or _other_lives(holder["process"])):
        raise FileExistsError(_sentence(mirror, holder, age, AFTER))


def _sentence(place: str | Path, holder: dict, age: float, hope: str = "") -> str:
    who = "process {process} on {host}".format(**holder) if holder else "another process"
    return (
        f"{place} is in use by {who}, whose last sign of life is {age:.0f} s old{hope}; let it "
        "end, or give another name"
    )


def _other_lives(process: int) -> bool:
    """Whether there is such a process here, and it is not this one."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return process != os.getpid()


def _holder(place: str) -> tuple[dict, float]:
    """What FILE of a folder says, and its age in seconds; {} where there is none."""
    try:
        if google_cloud.is_bucket(place):
            blob = google_cloud.find(f"{place}/{FILE}")[""]
            with tempfile.TemporaryDirectory() as folder:
                google_cloud.download(blob, file := Path(folder, FILE))
                text, then = file.read_text("utf-8"), blob.updated.timestamp()
        else:
            text, then = (file := Path(place, FILE)).read_text("utf-8"), file.stat().st_mtime
        found = json.loads(text)
        return {"host": str(found["host"]), "process": int(found["process"])}, time.time() - then
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return {}, 0.0


def _sign(place: str, ours: dict) -> None:
    """Write FILE. A bucket that takes nothing says so when the first result is brought there."""
    with contextlib.suppress(google_cloud.BucketError):
        if place:
            with atomic_write(f"{place}/{FILE}") as temporary:
                temporary.write_text(json.dumps(ours), "utf-8")


def _unsign(mirror: str) -> None:
    with contextlib.suppress(OSError):
        if mirror:
            google_cloud.find(f"{mirror}/{FILE}")[""].delete()
