"""A copy of the workbook to run things in, so that tests never touch a user's data and runs."""

import ast
import contextlib
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import papermill
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".venv", ".git", ".*_cache", "__pycache__", "*.egg-info", "screenshots"),
    *("spectrograms", "runs", "corpora", "cache", "listening"),
)


def copy_workbook(into: Path, recordings: int = 0) -> Path:
    """Copy everything but what was built or downloaded; .venv is the one that runs the tests.

    Args:
        recordings: of the sample corpus, the first so many; 0: all.
    """
    workbook = into / "workbook"
    shutil.copytree(ROOT, workbook, ignore=LEFT_OUT)
    (workbook / ".venv").symlink_to(sys.prefix)
    if recordings:
        table = workbook / "data" / "sample_corpus" / "sentences.csv"
        with table.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
        for file, _ in lines[1 + recordings :]:
            (table.parent / file).unlink()
        with table.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(lines[: 1 + recordings])
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


def execute(workbook: Path, name: str, /, **parameters):
    """Run a notebook by papermill, in a kernel of its own; returns it, with all outputs."""
    return papermill.execute_notebook(
        workbook / "notebooks" / f"{name}.ipynb",
        workbook / "executed.ipynb",
        parameters=parameters,
        kernel_name="python3",
        cwd=workbook / "notebooks",
        progress_bar=False,
    )


def run_here(workbook: Path, name: str, /, **parameters) -> dict:
    """Run a notebook in this process, with parameters as papermill gives them: without the ten
    seconds that a kernel and its imports take.

    Returns:
        Its variables; "Out" is a list of what its cells end with, such as tables of players, and
        "Figures" the number of figures shown.
    """
    import matplotlib.pyplot as plt

    def show() -> None:
        scope["Figures"] += len(plt.get_fignums())
        plt.close("all")

    path = workbook / "notebooks" / f"{name}.ipynb"
    notebook = load_notebook_node(str(path))
    if parameters:
        notebook = parameterize_notebook(notebook, parameters)
    scope = {"In": [], "Out": [], "Figures": 0}
    plt.switch_backend("agg")
    with contextlib.chdir(path.parent), mock.patch.object(plt, "show", show):
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            scope["In"].append(cell.source)
            where = f"{name}, {cell.get('id', 'injected')}"
            parts = ast.parse(cell.source.replace("%matplotlib inline\n", ""))
            last = parts.body.pop() if isinstance(parts.body[-1], ast.Expr) else None
            exec(compile(parts, where, "exec"), scope)
            if last:
                value = eval(compile(ast.Expression(last.value), where, "eval"), scope)
                scope["Out"] += [] if value is None else [value]
    return scope


def printed(executed) -> str:
    """All that an executed notebook printed."""
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)
