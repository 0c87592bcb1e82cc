"""A copy of the workbook to run things in, so that tests never touch a user's data and runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    *(".venv", ".git", ".*_cache", "__pycache__", "*.egg-info"),
    *("spectrograms", "runs", "corpora", "cache"),
)


def copy_workbook(into: Path) -> Path:
    """Copy everything but what was built or downloaded; .venv is the one that runs the tests."""
    workbook = into / "workbook"
    shutil.copytree(ROOT, workbook, ignore=LEFT_OUT)
    (workbook / ".venv").symlink_to(sys.prefix)
    return workbook


def run(command: str, workbook: Path, seconds: int = 600) -> str:
    """Run a shell command there, as after `source .venv/bin/activate`; returns what it printed."""
    environment = os.environ | {
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=workbook,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{command}\nexit code {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout
