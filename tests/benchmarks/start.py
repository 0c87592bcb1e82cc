"""Start: how long until the library is there, and until notebook 04 makes its first sound."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import Row

ROUNDS, IMPORTS, GOAL = 3, 15, 20
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = "04_sample_and_listen.ipynb"


def measure() -> list[Row]:
    """Seconds; each import in a new interpreter, beside one that imports nothing."""
    pairs = [(interpreter("pass"), interpreter("import ddpmlib")) for _ in range(IMPORTS)]
    importing = statistics.median(ours - nothing for nothing, ours in pairs)
    sound = statistics.median(first_sound() for _ in range(ROUNDS))
    note = f"goal: {GOAL} s; kernel, imports and the shipped weights included"
    return [
        Row("import ddpmlib", 1000 * importing, "ms more than Python alone"),
        Row("notebook 04, from opening to the first sound", sound, "s", note=note),
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


def _in(folder: Path) -> dict:
    return {"metadata": {"path": str(folder)}}
