"""What the runner copies while a notebook writes."""

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
    """As a training does: the checkpoint last, since the results that it counts lie beside it."""
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


def test_trouble_is_logged_once_and_never_raised(home, bucket, monkeypatch, caplog):
    monkeypatch.setattr(mirror.google_cloud, "PATIENCE", 0.1)
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


def test_what_is_replaced_while_it_is_copied_is_copied_again(home, monkeypatch):
    """Else the checkpoint that a SIGTERM leaves would stay here: all are of one length."""
    run, copy = home / "runs" / "voice", shutil.copyfile

    def copy_and_save(source, place, **options):
        copy(source, place, **options)
        if Path(source).parent == run:
            (run / "next").write_text("2")
            (run / "next").replace(source)

    write(run, 1)
    job = Mirror("gs://corpora/first", home, JOB, 0)
    with monkeypatch.context() as patch:
        patch.setattr(mirror.shutil, "copyfile", copy_and_save)
        job.snapshot()
    assert (job.snapshot() / "runs" / "voice" / "checkpoint.pt").read_text() == "2"


def test_files_and_runs_at_any_depth_come_back_where_they_were(home, bucket):
    write(home / "runs" / "voice", 2)
    (home / "runs" / "mine.txt").write_text("2")
    names = ["notes.txt", "mine.txt", "a/b/checkpoint.pt", "a/b/x/y.png", "a/c/z.png"]
    for name in [*names, "voice/checkpoint.pt", "voice/other.csv"]:
        bucket.write(f"first/runs/{name}", b"1")
    job = Mirror("gs://corpora/first", home, JOB, 0)
    job.restore()
    assert {name: (home / "runs" / name).read_text() for name in names} == {
        name: "2" if name == "mine.txt" else "1" for name in names
    }
    assert not (home / "runs" / "voice" / "other.csv").exists(), "a run is of one state"
    assert job.sync()


def test_a_success_that_cannot_be_brought_whole_has_failed(home, bucket, monkeypatch):
    """Its next start brings the rest, and counts the seconds that only this disk knows of."""
    monkeypatch.setattr(mirror, "FINAL_PATIENCE", 0)
    monkeypatch.setattr(mirror.google_cloud, "PATIENCE", 0.1)
    write(home / "runs" / "voice", 1)
    bucket.fail(503, times=float("inf"), method="POST", path="voice")
    job = Mirror("gs://corpora/first", home, JOB, 100)
    monkeypatch.setattr(job, "join", lambda: None)  # it was not started
    # Its clock stands still: on a busy machine the retries take more than half a second.
    monkeypatch.setattr(job, "seconds", lambda: job.before)
    assert job.finish("SUCCEEDED", "every cell was completed") == "FAILED"
    status = mirror.earlier_status("gs://corpora/first", home)
    assert status["state"] == "FAILED"
    assert "not all of it is in the bucket, but on the disk: gs://corpora/" in status["message"]
    assert status["seconds"] == 100
    job.before = 200
    bucket.fail(503, times=float("inf"), method="POST")
    assert job.finish("INTERRUPTED", "stopped") == "INTERRUPTED"
    bucket.faults.clear()
    status = mirror.earlier_status("gs://corpora/first", home)
    assert (status["state"], status["seconds"]) == ("FAILED", 200)


def test_the_heartbeat_does_not_wait_for_large_files(home, bucket, monkeypatch):
    """But the end waits for all of them."""
    job = Mirror("gs://corpora/first", home, JOB, 0)
    write(home / "runs" / "voice", 1)
    assert job.sync()
    assert bucket.sent[0] == "first/status.json"
    bucket.clear()
    job.state = "SUCCEEDED"
    write(home / "runs" / "voice", 20)
    assert job.sync()
    assert bucket.sent[-2:] == ["first/runs/voice/checkpoint.pt", "first/status.json"]
    assert bucket.sent.count("first/status.json") == 1, "not reported before it is true"


def test_a_full_disk_does_not_stop_the_status(home, bucket):
    (home / "status.json").mkdir()  # cannot be written
    assert Mirror("gs://corpora/first", home, JOB, 0).sync()
    assert json.loads(bucket.read("first/status.json"))["state"] == "RUNNING"


@pytest.mark.parametrize("content", [b"", b'{"state": ', b"[1]"])
def test_a_damaged_status_is_none(home, bucket, monkeypatch, content):
    monkeypatch.setattr(mirror, "FINAL_PATIENCE", -1)
    bucket.write("first/status.json", content)
    assert mirror.earlier_status("gs://corpora/first", home) == {"seconds": 0}


def test_the_status_is_waited_for(home, bucket, monkeypatch):
    monkeypatch.setattr(mirror.time, "sleep", lambda seconds: None)
    bucket.write("first/status.json", b'{"state": "SUCCEEDED", "seconds": 3}')
    bucket.fail(403, times=2)
    assert mirror.earlier_status("gs://corpora/first", home)["state"] == "SUCCEEDED"
    monkeypatch.setattr(mirror, "FINAL_PATIENCE", -1)
    bucket.fail(403)
    with pytest.raises(PermissionError, match=r"gs://corpora/first/status\.json"):
        mirror.earlier_status("gs://corpora/first", home)
