"""What the runner keeps in the bucket: data/runs, the executed notebook, log and status."""

import contextlib
import json
import logging
import os
import shutil
import threading
import time
from pathlib import Path, PurePosixPath

from ddpmlib.storage import google_cloud, paths
from vertex_workbench.status import status_of, write_status

PERIOD = float(os.environ.get("DDPM_MIRROR_SECONDS", 30))  # of mirror and heartbeat
FINAL_PATIENCE = float(os.environ.get("DDPM_FINAL_SECONDS", 300))  # for an unreachable bucket
# Of retries: a machine that is being stopped has little time, and the next PERIOD makes up.
BUCKET_PATIENCE = float(os.environ.get("DDPM_BUCKET_SECONDS", 30))
log = logging.getLogger("mirror")


def earlier_status(output: str, home: Path) -> dict:
    """status.json of the bucket; {} before there is one. Waits for an unreachable bucket.

    Its seconds are those of the copy on this disk, if it knows of more: the bucket may have been
    away at the end of an earlier start.

    Raises:
        OSError: the bucket cannot be read for FINAL_PATIENCE.
    """
    end = time.monotonic() + FINAL_PATIENCE
    while True:
        try:
            status = _status_in(paths.fetch(f"{output}/status.json"))
            break
        except FileNotFoundError:
            status = {}
            break
        except OSError as error:
            if time.monotonic() > end:
                raise
            log.warning("waiting for the bucket: %s", error)
            time.sleep(min(10, FINAL_PATIENCE))
    here = _status_in(home / "status.json")
    return status | {"seconds": max(status.get("seconds", 0), here.get("seconds", 0))}


class Mirror(threading.Thread):
    """Copies the job's files into the bucket, every PERIOD seconds; trouble is only logged.

    Args:
        output: gs:// folder of the job.
        home: local folder with project/, runs/ and job.log.
        before: seconds that earlier starts have used.
    """

    def __init__(self, output: str, home: Path, job: dict, before: float):
        super().__init__(daemon=True)
        self.output, self.home, self.job, self.before = output, home, job, before
        self.runs = home / "runs"  # project/data/runs leads there
        self.notebook = home / Path(job["notebook"]).name
        self.started, self.stopped = time.monotonic(), threading.Event()
        self.state, self.message, self.trouble = "RUNNING", "the notebook is being run", ""

    def seconds(self) -> float:
        """Of running, over all starts."""
        return self.before + time.monotonic() - self.started

    def restore(self) -> None:
        """Bring runs of an earlier start here, but those that this disk has: it is ahead of them.

        Raises:
            OSError: the bucket cannot be read, or this disk not be written.
        """
        try:
            names = [PurePosixPath(name) for name in google_cloud.find(f"{self.output}/runs/")]
        except FileNotFoundError:
            return
        runs = {name.parent for name in names if name.name == paths.LAST}
        for run in sorted(runs):
            if not (self.runs / run / paths.LAST).exists():
                log.info("restoring runs/%s", run)
                self.bring(run, self.runs / run)
        for name in names:
            if runs.isdisjoint(name.parents) and not (self.runs / name).exists():
                self.bring(name, (self.runs / name).parent)

    def bring(self, name: PurePosixPath, folder: Path) -> None:
        paths.download("/".join((self.output, "runs", *name.parts)), folder)

    def run(self) -> None:
        while True:
            self.sync()
            if self.stopped.wait(PERIOD):
                return

    def finish(self, state: str, message: str) -> str:
        """Bring the last of everything, the final status behind it; returns the final state.

        After FINAL_PATIENCE all stays on this disk. A job that succeeded has failed then: started
        again, it goes on from the disk and brings the rest.
        """
        self.stopped.set()
        self.join()
        self.state, self.message = state, message
        end = time.monotonic() + FINAL_PATIENCE
        while not self.sync() and time.monotonic() < end:
            time.sleep(min(10, FINAL_PATIENCE))
        if self.trouble:
            self.state = "FAILED" if state == "SUCCEEDED" else state
            self.message += f"; not all of it is in the bucket, but on the disk: {self.trouble}"
            with contextlib.suppress(Exception):  # most likely the bucket is still away
                self.write_status()
        return self.state

    def sync(self) -> bool:
        """Whether everything arrived."""
        try:
            running = self.state == "RUNNING"
            if running:  # the heartbeat does not wait for large files; the end comes behind them
                self.write_status()
            paths.publish(self.snapshot(), self.output)
            if not running:
                self.write_status()
        except Exception as error:
            if str(error) != self.trouble:  # once, not every PERIOD seconds
                log.warning("not mirrored: %s", error)
            self.trouble = str(error)
            return False
        self.trouble = ""
        return True

    def write_status(self) -> None:
        """Into the bucket, and first onto this disk, for `earlier_status`."""
        seconds, commit = round(self.seconds()), self.job.get("commit", "")
        status = status_of(self.state, self.message, seconds, commit)
        with contextlib.suppress(OSError):  # a full disk does not stop the heartbeat
            write_status(self.home / "status.json", status)
        write_status(f"{self.output}/status.json", status)

    def snapshot(self) -> Path:
        """A copy of what is still being written to, checkpoints first.

        Rows of a newer metrics.csv are cut when a run goes on from an
        older checkpoint, and rows that a newer checkpoint lacks would be lost.
        """
        snapshot = self.home / "snapshot"
        files = [path for path in self.runs.rglob("*") if path.is_file()]
        files.sort(key=lambda path: path.name != paths.LAST)
        places = {path: snapshot / "runs" / path.relative_to(self.runs) for path in files}
        for path in (self.notebook, self.home / "job.log"):
            places[path] = snapshot / path.name
        for path, place in places.items():
            hidden = any(part.startswith(".") for part in place.relative_to(snapshot).parts)
            with contextlib.suppress(FileNotFoundError):  # not there yet, or deleted at this moment
                if not hidden:
                    _copy(path, place)
        return snapshot


def _copy(path: Path, place: Path) -> None:
    """Copy a file that has changed, with the time it had before: a file that is replaced while it
    is copied has changed the next time."""
    now = path.stat()
    if place.exists() and _size_and_time(place.stat()) == _size_and_time(now):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, place)
    os.utime(place, ns=(now.st_atime_ns, now.st_mtime_ns))


def _size_and_time(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _status_in(path: Path) -> dict:
    """{} without a file, and for one that is damaged: the next status takes its place."""
    try:
        status = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}
