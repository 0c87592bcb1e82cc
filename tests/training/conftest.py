"""Fixtures of the tests with buckets."""

from pathlib import Path

import pytest
from transfers import in_workbook, whole_run


@pytest.fixture
def two_disks(bucket, tmp_path, monkeypatch) -> Path:
    """A workbook with two disks, `here` and `there`, and a bucket."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    return in_workbook(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def mirrored_run(tmp_path_factory) -> Path:
    """The folder of an uninterrupted run with a mirror."""
    return whole_run(tmp_path_factory.mktemp("whole"))
