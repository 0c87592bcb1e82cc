"""status.json: the state of a job, written by the launcher and by the runner."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ddpmlib.storage import atomic, paths


def status_of(state: str, message: str, seconds: float, commit: str) -> dict:
    """The content of a status.json now; seconds of running, over all starts."""
    return {
        "state": state,
        "message": message,
        "seconds": seconds,
        "heartbeat": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
    }


def write_status(path: str | Path, status: dict) -> None:
    """Write a status.json, in a bucket or on a disk; raises OSError."""
    with atomic.atomic_write(path) as temporary:
        temporary.write_text(json.dumps(status), "utf-8")


def read_status(output: str) -> dict | None:
    """State, message, seconds of running, age of the heartbeat in seconds; None without one.

    Raises:
        OSError: the bucket cannot be read.
        ValueError: it is no status.
    """
    try:
        read = json.loads(text := read_text(f"{output}/status.json"))
        return {
            "state": str(read["state"]),
            "message": str(read["message"]),
            "seconds": float(read["seconds"]),
            "age": (datetime.now(UTC) - datetime.fromisoformat(read["heartbeat"])).total_seconds(),
        }
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{output}/status.json is no status: {text[:200]!r}") from None


def read_text(path: str) -> str:
    """Text of an object, past the cache: it changes all the time."""
    with tempfile.TemporaryDirectory() as folder:
        paths.download(path, folder)
        return Path(folder, PurePosixPath(path).name).read_text("utf-8", errors="replace")


def duration(seconds: float) -> str:
    """A time for people."""
    seconds = max(0, seconds)  # clocks differ
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
