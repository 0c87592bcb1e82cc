"""Fixtures of the tests of the launcher, which name this module in their `pytest_plugins`."""

import subprocess

import nbformat
import pytest
from workbench import running_workbench, write_job

from vertex_workbench import instance, launch


@pytest.fixture
def workbench(monkeypatch):
    monkeypatch.setattr(instance, "POLL_SECONDS", 0.01)
    with running_workbench() as workbench:
        monkeypatch.setenv("VERTEX_WORKBENCH_ENDPOINT", workbench.url)
        yield workbench


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small project under git, the current folder; job.json in it is not tracked."""
    cell = nbformat.v4.new_code_cell("# Parameters, all\nepochs = 1\nrate = 0.1")
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    files = {
        "data/README.md": "data",
        "notebooks/tiny.ipynb": nbformat.writes(notebook),
        "vertex_workbench/startup.sh": "echo start\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "n")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "e@example.org")
    for words in ("init -q", "add .", "commit -q -m first"):
        subprocess.run(["git", *words.split()], check=True)
    write_job()
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command, see that errors are sentences; returns exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = launch.main([words[0], "job.json", *words[1:]])
        out, err = capsys.readouterr()
        assert (code == 1) or not err
        assert len(err.splitlines()) <= 1
        assert "Traceback" not in out + err
        return code, out, err

    return run
