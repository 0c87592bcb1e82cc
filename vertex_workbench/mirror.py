"""What the runner keeps in the bucket: data/runs, the executed notebook, log and status."""

import json
import logging
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from ddpmlib import buckets, storage

PERIOD = float(os.environ.get("DDPM_MIRROR_SECONDS", 30))  # of mirror and heartbeat
FINAL_PATIENCE = float(os.environ.get("DDPM_FINAL_SECONDS", 300))  # for an unreachable bucket
# Of retries: a machine that is being stopped has little time, and the next PERIOD makes up.
BUCKET_PATIENCE = float(os.environ.get("DDPM_BUCKET_SECONDS", 30))
log = logging.getLogger("mirror")


def read_status(output: str) -> dict:
    """What status.json says; {} before there is one.

    Raises:
        OSError: the bucket cannot be read.
    """
    try:
        return json.loads(storage.fetch(f"{output}/status.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}


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
        """Bring runs of an earlier start here, unless this disk has them: then it is ahead."""
        try:
            names = {name.split("/")[0] for name in buckets.find(f"{self.output}/runs/")}
        except FileNotFoundError:
            return
        for name in sorted(names):
            if not (self.runs / name / storage.LAST).exists():
                log.info("restoring runs/%s", name)
                storage.download(f"{self.output}/runs/{name}", self.runs / name)

    def run(self) -> None:
        while True:
            self.sync()
            if self.stopped.wait(PERIOD):
                return

    def finish(self, state: str, message: str) -> None:
        """Bring the last of everything, the final status behind it; gives up after
        FINAL_PATIENCE: then all stays on this disk."""
        self.stopped.set()
        self.join()
        self.state, self.message = state, message
        end = time.monotonic() + FINAL_PATIENCE
        while not self.sync() and time.monotonic() < end:
            time.sleep(min(10, FINAL_PATIENCE))

    def sync(self) -> bool:
        """Whether everything arrived."""
        try:
            snapshot = self.snapshot()
            storage.publish(snapshot, self.output)
            with storage.atomic_write(f"{self.output}/status.json") as temporary:
                temporary.write_text(json.dumps(self.status()), "utf-8")
        except Exception as error:
            if str(error) != self.trouble:  # once, not every PERIOD seconds
                log.warning("not mirrored: %s", error)
            self.trouble = str(error)
            return False
        self.trouble = ""
        return True

    def status(self) -> dict:
        return {
            "state": self.state,
            "message": self.message,
            "seconds": round(self.seconds()),
            "heartbeat": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commit": self.job.get("commit", ""),
        }

    def snapshot(self) -> Path:
        """A copy of what is still being written to, with no file newer than it says.

        Checkpoints are copied first: rows of a newer metrics.csv are cut when a run goes on from an
        older checkpoint, and rows that a newer checkpoint lacks would be lost.
        """
        snapshot = self.home / "snapshot"
        files = [path for path in self.runs.rglob("*") if path.is_file()]
        files.sort(key=lambda path: path.name != storage.LAST)
        places = {path: snapshot / "runs" / path.relative_to(self.runs) for path in files}
        for path in (self.notebook, self.home / "job.log"):
            places[path] = snapshot / path.name
        for path, place in places.items():
            hidden = any(part.startswith(".") for part in place.relative_to(snapshot).parts)
            try:
                now = path.stat()
                if not hidden and not (place.exists() and _same_time(place.stat(), now)):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, place)
            except FileNotFoundError:
                continue  # not there yet, or replaced at this moment
        return snapshot


def _same_time(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
