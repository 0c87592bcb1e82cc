"""`python tests/breakages [PART OF A NAME ...]`: break the project on purpose, see a test fail.

Each entry of breakages.toml is a realistic bug: a text of a file, what it is replaced by, and the
test that must notice. In a copy of the workbook each is made alone, its test is run, and undone.
Exit code 1 where a test does not fail, or does not pass without the bug. With all of them: half an
hour.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "support"))

from workspace import copy_workbook  # noqa: E402

SECONDS = 300  # of a test


def read() -> list[dict]:
    """All breakages: name, file, old, new, test."""
    return tomllib.loads((HERE / "breakages.toml").read_text("utf-8"))["breakage"]


def fails(workbook: Path, test: str) -> bool:
    """Whether a test fails there; what it imports comes from there too.

    Raises RuntimeError where it was skipped or could not run, TimeoutExpired after SECONDS.
    """
    environment = os.environ | {
        "PYTHONPATH": str(workbook),
        "PYTHONDONTWRITEBYTECODE": "1",  # a stale .pyc would hide a breakage of the same second
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(
        command, cwd=workbook, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode not in (0, 1) or "skipped" in done.stdout.splitlines()[-1]:
        raise RuntimeError(f"{test} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 1


def is_caught(workbook: Path, breakage: dict) -> bool:
    """Whether its test passes without the breakage and fails with it."""
    file = workbook / breakage["file"]
    whole = file.read_text("utf-8")
    if fails(workbook, breakage["test"]):
        raise RuntimeError(f"{breakage['test']} fails without a breakage")
    try:
        file.write_text(whole.replace(breakage["old"], breakage["new"]), "utf-8")
        return fails(workbook, breakage["test"])
    finally:
        file.write_text(whole, "utf-8")


def main(parts: list[str]) -> None:
    """Try those whose name holds one of the parts, or all."""
    chosen = [b for b in read() if not parts or any(part in b["name"] for part in parts)]
    caught = 0
    with tempfile.TemporaryDirectory() as folder:
        workbook = copy_workbook(Path(folder))
        subprocess.run(["git", "init", "-q"], cwd=workbook, check=True)  # some tests list its files
        subprocess.run(["git", "add", "-A"], cwd=workbook, check=True)
        for breakage in chosen:
            try:
                word = "caught" if is_caught(workbook, breakage) else "MISSED"
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                word = f"NOT TRIED: {error}\n"
            caught += word == "caught"
            print(word, breakage["name"], breakage["test"], flush=True)
    print(f"{caught} of {len(chosen)} caught")
    if caught < len(chosen):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
