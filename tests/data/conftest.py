"""Fixtures of the tests of data sets."""

from pathlib import Path

import pytest
from cases import twelve_recordings


def _workbook(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text("here")
    patch.chdir(folder)
    return folder


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """An empty workbook as the current folder."""
    return _workbook(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def module_workbook(tmp_path_factory):
    """The same for all tests of a file; the current folder only while it is set up."""
    with pytest.MonkeyPatch.context() as patch:
        yield _workbook(tmp_path_factory.mktemp("workbook"), patch)


@pytest.fixture
def folder(tmp_path):
    """Twelve short recordings."""
    return twelve_recordings(tmp_path / "in")
