"""Status, logs, results and the end of a submitted job, and how errors are reported."""

import os
import sys
import time

import pytest
from workbench import PATH, A, B, C, set_status

from vertex_workbench import instance

pytest_plugins = ["launching"]


@pytest.mark.parametrize(
    ("state", "ago", "code", "words"),
    [
        ("SUBMITTED", 10, 0, "SUBMITTED: as it is"),
        ("SUBMITTED", 1205, 1, "SUBMITTED, no heartbeat from the instance"),
        ("RUNNING", 290, 0, "heartbeat 5 min ago"),
        ("RUNNING", 302, 1, "RUNNING, lost heartbeat"),
        ("SUCCEEDED", 90_000, 0, "25.0 h ago"),
        ("INTERRUPTED", 302, 0, "INTERRUPTED: as it is"),
        ("FAILED", 10, 1, "FAILED: as it is"),
        ("TIMED_OUT", 10, 1, "TIMED_OUT: as it is"),
    ],
)
def test_status_prints_the_state_and_its_exit_code_calls_for_action(
    bucket, workbench, checkout, run, state, ago, code, words
):
    set_status(bucket, state, ago=ago)
    workbench.instances[PATH] = {"name": PATH, "state": "ACTIVE"}
    got, out, err = run("status")
    assert (got, err) == (code, "")
    assert f"first: {state}" in out
    assert words in out
    assert "used 812 of 3600 s" in out
    assert f"instance in {B}: ACTIVE\n" in out
    assert ("lost heartbeat" in out) == ("lost heartbeat" in words)


def test_status_prints_what_is_still_billed(bucket, workbench, checkout, run):
    set_status(bucket, "SUCCEEDED")
    workbench.instances[PATH] = {"name": PATH, "state": "STOPPED"}
    out = run("status")[1]
    assert f"instance in {B}: STOPPED; its disks are billed until `delete`" in out
    workbench.instances.clear()
    assert f"no instance in {A}, {B}, {C}" in run("status")[1]


def test_without_or_with_a_broken_status(bucket, workbench, checkout, run):
    code, _, err = run("status")
    assert code == 1
    assert "first has no status: gs://corpora/jobs/first/status.json is missing" in err
    for broken in (b"{", b"[]", b"{}", b'{"state": "RUNNING", "seconds": "a"}'):
        bucket.write("jobs/first/status.json", broken)
        code, _, err = run("status")
        assert code == 1
        assert "gs://corpora/jobs/first/status.json is no status" in err
    set_status(bucket, "RUNNING", heartbeat="2026-11-25T07:00:00")  # of which time zone?
    assert "is no status" in run("status")[2]


def test_logs_are_printed_as_they_are(bucket, workbench, checkout, run):
    code, _, err = run("logs")
    assert code == 1
    assert "gs://corpora/jobs/first/job.log does not exist" in err
    bucket.write("jobs/first/job.log", "one\nzwei \xe4\n".encode())
    code, out, _ = run("logs")
    assert (code, out) == (0, "one\nzwei ä\n")


def test_fetch_brings_runs_notebook_and_log(bucket, workbench, checkout, run):
    code, out, _ = run("fetch")
    assert code == 1
    assert "gs://corpora/jobs/first/runs does not exist" in out
    bucket.write("jobs/first/runs/a/checkpoint.pt", b"weights")
    bucket.write("jobs/first/runs/a/samples/1.wav", b"sound")
    bucket.write("jobs/first/tiny.ipynb", b"notebook")
    bucket.write("jobs/first/job.log", b"log")
    assert run("fetch")[0] == 0
    runs = checkout / "data" / "runs"
    assert (runs / "a" / "checkpoint.pt").read_bytes() == b"weights"
    assert (runs / "a" / "samples" / "1.wav").read_bytes() == b"sound"
    assert (runs / "jobs" / "first" / "tiny.ipynb").read_bytes() == b"notebook"
    assert (runs / "jobs" / "first" / "job.log").read_bytes() == b"log"
    assert run("fetch", "--into", "elsewhere")[0] == 0
    assert (checkout / "elsewhere" / "a" / "checkpoint.pt").read_bytes() == b"weights"
    assert (checkout / "elsewhere" / "jobs" / "first" / "job.log").read_bytes() == b"log"


def test_fetch_keeps_a_newer_checkpoint(bucket, workbench, checkout, run):
    bucket.write("jobs/first/runs/a/checkpoint.pt", b"weights")
    mine = checkout / "data" / "runs" / "a" / "checkpoint.pt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"trained on")
    os.utime(mine, (time.time() + 60,) * 2)
    code, _, err = run("fetch")
    assert code == 1
    assert f"{mine} is newer than gs://corpora/jobs/first/runs/a/checkpoint.pt" in err
    assert "--into" in err
    assert mine.read_bytes() == b"trained on"
    os.utime(mine, (time.time() - 60,) * 2)
    assert run("fetch")[0] == 0
    assert mine.read_bytes() == b"weights"


def test_stop_and_delete_may_be_repeated(bucket, workbench, checkout, run):
    workbench.instances[PATH] = {"name": PATH, "state": "ACTIVE"}
    for _ in range(2):
        code, out, _ = run("stop")
        assert code == 0
        assert out == f"first in {B} is stopped; its disks are billed until `delete`\n"
    assert len(workbench.made("POST", ":stop")) == 1
    code, out, _ = run("delete")
    assert code == 0
    assert f"first in {B} is deleted with its disks; gs://corpora/jobs/first stays" in out
    assert not workbench.instances
    for verb in ("stop", "delete"):
        code, out, _ = run(verb)
        assert code == 0
        assert f"first has no instance in {A}, {B}, {C}: nothing to {verb}" in out
    assert len(workbench.made("DELETE", "/first")) == 1


def test_deleting_waits_for_its_end(bucket, workbench, checkout, run):
    workbench.instances[PATH] = {"name": PATH, "state": "ACTIVE"}
    workbench.zones = {B: "silent"}
    code, _, err = run("delete")
    assert code == 1
    assert f"to delete first in {B} was begun, but how it ended is not known" in err


def test_errors_of_both_services_are_sentences(bucket, workbench, checkout, run, monkeypatch):
    bucket.fail(403, times=float("inf"))
    for words in (["submit"], ["status"], ["logs"], ["fetch"]):
        code, _, err = run(*words)
        assert code == 1
        assert "permission denied (403)" in err
    bucket.faults.clear()
    monkeypatch.setenv("VERTEX_WORKBENCH_ENDPOINT", "http://127.0.0.1:9")
    for words in (["submit"], ["stop"], ["delete"]):
        code, _, err = run(*words)
        assert code == 1
        assert "no answer from the Notebooks API" in err
    monkeypatch.delenv("VERTEX_WORKBENCH_ENDPOINT")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    code, _, err = run("delete")
    assert code == 1
    assert "no usable Google Cloud credentials" in err


def test_an_interrupt_names_the_next_command(bucket, workbench, checkout, run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(instance, "create", interrupt)
    code, _, err = run("submit")
    assert code == 1
    assert "interrupted; `" in err


def test_a_missing_extra_is_named(bucket, workbench, checkout, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.notebooks_v2", None)
    monkeypatch.delattr("google.cloud.notebooks_v2", raising=False)
    code, _, err = run("submit", "--dry-run")
    assert code == 1
    assert 'pip install -e ".[cloud]"' in err
