"""Fixtures of the tests of the launcher, which name this module in their `pytest_plugins`."""

import os
import shutil
import subprocess

import nbformat
import pytest
from workbench import running_workbench, write_job

from vertex_workbench import instance, launch

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "n", "EMAIL": "e@example.org"}.items()
}


@pytest.fixture
def workbench(monkeypatch):
    monkeypatch.setattr(instance, "POLL_SECONDS", 0.01)
    with running_workbench() as workbench:
        monkeypatch.setenv("VERTEX_WORKBENCH_ENDPOINT", workbench.url)
        yield workbench


@pytest.fixture(scope="session")
def commit(tmp_path_factory):
    """A small project under git, of which each test gets a copy."""
    cell = nbformat.v4.new_code_cell("# Parameters, all\nepochs = 1\nrate = 0.1")
    cell.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    files = {
        "data/README.md": "data",
        "notebooks/tiny.ipynb": nbformat.writes(notebook),
        "vertex_workbench/startup.sh": "echo start\n",
    }
    folder = tmp_path_factory.mktemp("commit")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    for words in ("init -q", "add .", "commit -q -m first"):
        subprocess.run(["git", *words.split()], cwd=folder, env=os.environ | AUTHOR, check=True)
    return folder


@pytest.fixture
def checkout(tmp_path, commit, monkeypatch):
    """The current folder; job.json in it is not tracked."""
    shutil.copytree(commit, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
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
