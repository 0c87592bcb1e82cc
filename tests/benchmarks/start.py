"""Start: how long until the library is there, and until notebook 04 or a command makes a sound."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Row

ROUNDS, IMPORTS, GOAL, WAV_GOAL = 3, 15, 20, 8
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = "04_sample_and_listen.ipynb"


def measure() -> list[Row]:
    """Seconds; each import in a new interpreter, beside one that imports nothing."""
    pairs = [(interpreter("pass"), interpreter("import ddpmlib")) for _ in range(IMPORTS)]
    importing = statistics.median(ours - nothing for nothing, ours in pairs)
    sound = statistics.median(first_sound() for _ in range(ROUNDS))
    wav = statistics.median(first_wav() for _ in range(ROUNDS))
    note = f"goal: {GOAL} s; kernel, imports and the shipped weights included"
    return [
        Row("import ddpmlib", 1000 * importing, "ms more than Python alone"),
        Row("notebook 04, from opening to the first sound", sound, "s", note=note),
        Row("python -m ddpmlib sample, to the first wav", wav, "s", note=f"goal: {WAV_GOAL} s"),
    ]


def interpreter(code: str) -> float:
    """Seconds of a new Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def first_sound() -> float:
    """Run the notebook as a reader would, up to the first cell with a player."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / NOTEBOOK, 4)
    client = NotebookClient(notebook, kernel_name="python3", resources=_in(NOTEBOOKS))
    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            if "data:audio/" in json.dumps(cell.get("outputs", [])):
                return time.perf_counter() - start
    raise SystemExit(f"{NOTEBOOK} made no sound")


def first_wav() -> float:
    """Run the command with its own options."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = subprocess.Popen([sys.executable, "-m", "ddpmlib", "sample", "--out", folder])
        while command.poll() is None and not any(Path(folder).glob("[!.]*.wav")):
            time.sleep(0.01)
        taken = time.perf_counter() - start
        if command.wait() or not any(Path(folder).glob("*.wav")):
            raise SystemExit("the command made no sound")
        return taken


def _in(folder: Path) -> dict:
    return {"metadata": {"path": str(folder)}}
