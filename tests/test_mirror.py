"""What the runner copies while somebody else writes."""

import json
import shutil
from pathlib import Path

import pytest

from vertex_workbench import mirror
from vertex_workbench.mirror import Mirror

JOB = {"notebook": "notebooks/job.ipynb", "commit": "abc"}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "runs" / "voice").mkdir(parents=True)
    (tmp_path / "job.log").write_text("begun\n")
    return tmp_path


def write(run, epoch: int) -> None:
    """As a training does: the checkpoint last, since what it says is done lies beside it."""
    for name in ("metrics.csv", "model.safetensors", "checkpoint.pt"):
        (run / name).write_text(str(epoch))


def test_no_checkpoint_is_newer_than_what_lies_beside_it(home, monkeypatch):
    """An epoch ends after each single copy; rows that a newer checkpoint lacks would be lost."""
    run, epoch, copy, walk = home / "runs" / "voice", 0, shutil.copy2, Path.rglob
    backwards = lambda folder, pattern: sorted(walk(folder, pattern), reverse=True)  # noqa: E731
    monkeypatch.setattr(Path, "rglob", backwards)

    def copy_while_it_trains(source, place):
        nonlocal epoch
        copy(source, place)
        epoch += 1
        write(run, epoch)

    write(run, epoch)
    monkeypatch.setattr(mirror.shutil, "copy2", copy_while_it_trains)
    copied = Mirror("gs://corpora/first", home, JOB, 0).snapshot() / "runs" / "voice"
    assert epoch >= 3
    for name in ("metrics.csv", "model.safetensors"):
        assert int((copied / name).read_text()) >= int((copied / "checkpoint.pt").read_text())


def test_only_what_changed_is_copied_and_nothing_hidden(home, monkeypatch):
    copies, copy = [], shutil.copy2
    monkeypatch.setattr(
        mirror.shutil, "copy2", lambda source, place: copies.append(source) or copy(source, place)
    )
    write(home / "runs" / "voice", 1)
    (home / "runs" / "voice" / ".checkpoint.pt.x1y2").write_text("half of it")
    job = Mirror("gs://corpora/first", home, JOB, 0)
    job.snapshot()
    assert len(copies) == 4
    copies.clear()
    with (home / "job.log").open("a") as log:
        log.write("more\n")
    assert (job.snapshot() / "job.log").read_text() == "begun\nmore\n"
    assert copies == [home / "job.log"]


def test_trouble_is_told_once_and_never_raised(home, bucket, monkeypatch, caplog):
    monkeypatch.setattr(mirror.buckets, "PATIENCE", 0.1)
    bucket.fail(403, times=3, method="POST")
    job = Mirror("gs://corpora/first", home, JOB, 10)
    with caplog.at_level("WARNING", "mirror"):
        assert [job.sync() for _ in range(3)] == [False] * 3
        assert len(caplog.records) == 1
    assert "permission denied (403)" in caplog.text
    assert job.sync()
    status = json.loads(bucket.read("first/status.json"))
    assert status["state"] == "RUNNING"
    assert status["commit"] == "abc"
    assert status["seconds"] >= 10


def test_the_end_is_not_given_up_at_once(home, bucket, monkeypatch):
    monkeypatch.setattr(mirror, "FINAL_PATIENCE", 20)
    monkeypatch.setattr(mirror.time, "sleep", lambda seconds: None)
    bucket.fail(403, times=5, method="POST")
    job = Mirror("gs://corpora/first", home, JOB, 0)
    monkeypatch.setattr(job, "join", lambda: None)  # it was not started
    job.finish("SUCCEEDED", "every cell was completed")
    assert json.loads(bucket.read("first/status.json"))["state"] == "SUCCEEDED"
    assert bucket.read("first/job.log") == b"begun\n"


def test_runs_on_this_disk_are_ahead_of_the_bucket_and_others_come_back(home, bucket):
    write(home / "runs" / "voice", 2)
    (home / "runs" / "begun").mkdir()  # its download was interrupted before the checkpoint
    for run in ("voice", "begun", "lost"):
        for name in ("checkpoint.pt", "samples/a.png"):
            bucket.write(f"first/runs/{run}/{name}", b"1")
    Mirror("gs://corpora/first", home, JOB, 0).restore()
    assert (home / "runs" / "voice" / "checkpoint.pt").read_text() == "2"
    for run in ("begun", "lost"):
        assert (home / "runs" / run / "checkpoint.pt").read_text() == "1"
        assert (home / "runs" / run / "samples" / "a.png").exists()


def test_nothing_to_restore_is_no_error(home, bucket):
    Mirror("gs://corpora/first", home, JOB, 0).restore()
    assert list((home / "runs").iterdir()) == [home / "runs" / "voice"]
