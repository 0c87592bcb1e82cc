"""Beside an earlier commit of the workbook: the same jobs by both, in turn."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from report import Row
from timing import Turns, environment, precision, ratio

ROOT = Path(__file__).parents[2]
BEFORE = "648155f"  # sampled in evenly spaced steps, trained by Adam in steps of 16
ROUNDS = 3
# Job, options of ours and of BEFORE (what makes the samples of one quality), and the least ratio of
# their times wanted.
EVEN = {"num_steps": 50}
JOBS = {
    "noise to wav, 16 samples of the shipped weights": ("noise to wav", {}, EVEN, None),
    "the same of their student": ("noise to wav", {"run": "pretrained/student"}, EVEN, 12),
    "vocoder, 16 clips": ("vocoder", {}, {}, 3),
    "training, three epochs of the sample corpus": ("training", {}, {}, None),
}


def measure() -> list[Row]:
    """Seconds and peak memory of both, for each job."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, earlier(Path(folder) / "before") as before:
        for work, (job, options, theirs, goal) in JOBS.items():
            ours, theirs = turns(job, [(ROOT, options), (before, theirs)])
            beside, faster = f"commit {BEFORE}", ratio(theirs, ours)
            rows += [
                Row(work, ours.median, "s", beside, theirs.median, faster, goal),
                Row("its memory", ours.gigabytes, "GB", beside, theirs.gigabytes),
            ]
    return rows


@contextlib.contextmanager
def earlier(folder: Path) -> Iterator[Path]:
    """BEFORE in a folder of its own; raises SystemExit where the clone lacks it."""
    git = ["git", "-C", str(ROOT), "worktree"]
    if subprocess.run([*git, "add", "--detach", "--quiet", str(folder), BEFORE]).returncode:
        raise SystemExit(f"commit {BEFORE} is not in this clone; needed: a clone with its history")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def turns(job: str, versions: list[tuple[Path, dict]]) -> list[Turns]:
    """The turns of each version (its folder, options), one round after the other; the first does
    not count."""
    script, taken = Path(__file__).with_name("version_jobs.py"), [Turns() for _ in versions]
    with contextlib.ExitStack() as stack:
        running = []
        for folder, options in versions:
            # Before, every processor with instructions for bfloat16 had it, the faster or not.
            options = options | {"precision": precision()}
            command = [sys.executable, str(script), job, json.dumps(options)]
            with environment({"PYTHONPATH": str(folder)}):
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
                running.append(stack.enter_context(subprocess.Popen(command, **pipes)))
        for number in range(1 + ROUNDS):
            for process, mine in zip(running, taken, strict=True):
                print(file=process.stdin, flush=True)
                while not (line := process.stdout.readline()).startswith("["):
                    if not line:
                        raise SystemExit(f"{job} died: see above")
                seconds, mine.gigabytes = json.loads(line)
                mine.seconds += [seconds] if number else []
        for process in running:
            process.stdin.close()
    return taken
