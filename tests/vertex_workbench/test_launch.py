"""Submitting a job, with the real client libraries against doubles of both services."""

import json
import re
import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from workbench import FIELDS, PATH, A, B, C, get_status, set_status, write_job
from workspace import ROOT

from vertex_workbench import launch, machines
from vertex_workbench.job import Job

pytest_plugins = ["launching"]


def test_submit_uploads_and_creates(bucket, workbench, checkout, run):
    code, out, _ = run("submit")
    assert code == 0
    assert f"has an instance in {A}" in out
    assert "at most 0.85 USD" in out
    assert machines.PRICES_DATE in out
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = head.stdout.strip()
    job = json.loads(bucket.read("jobs/first/input/job.json"))
    assert job == launch.Job.load("job.json").to_dict() | {"commit": commit}
    assert job["parameters"] == FIELDS["parameters"]
    assert bucket.read("jobs/first/input/startup.sh") == b"echo start\n"
    with tarfile.open(fileobj=BytesIO(bucket.read("jobs/first/input/project.tar.gz"))) as archive:
        assert "notebooks/tiny.ipynb" in archive.getnames()
        assert "job.json" not in archive.getnames()
    status = get_status(bucket)
    assert status["state"] == "SUBMITTED"
    assert (status["seconds"], status["commit"]) == (0, commit)
    age = datetime.now(UTC) - datetime.fromisoformat(status["heartbeat"])
    assert timedelta(0) <= age < timedelta(seconds=60)
    [(zone, body)] = workbench.made()
    assert zone == A
    assert body == {
        "gceSetup": {
            "machineType": "g2-standard-8",
            "acceleratorConfigs": [{"type": 13, "coreCount": "1"}],
            "vmImage": {"project": "cloud-notebooks-managed", "family": "workbench-instances-2603"},
            "dataDisks": [{"diskSizeGb": "100"}],
            "gpuDriverConfig": {"enableGpuDriver": True},
            "metadata": {
                "post-startup-script": "gs://corpora/jobs/first/input/startup.sh",
                "post-startup-script-behavior": "run_every_start",
                "idle-timeout-seconds": "",
                "ddpm-output": "gs://corpora/jobs/first",
                "ddpm-max-seconds": "3600",
            },
        },
        "labels": {"ddpm-job": "first"},
    }
    assert any("/operations/" in path for _, path, _ in workbench.requests), "it did not wait"


ELSEWHERE = {
    **dict.fromkeys(["quota", "many requests", "late quota", "late exhaustion"], "no quota"),
    **dict.fromkeys(["stock-out", "unavailable", "late stock-out"], "out of stock"),
}


@pytest.mark.parametrize("refusal", ELSEWHERE)
def test_the_next_zone_is_tried_never_another_gpu(bucket, workbench, checkout, run, refusal):
    workbench.zones = {A: refusal}
    code, out, _ = run("submit")
    assert code == 0
    assert f"no room for g2-standard-8 in {A} {ELSEWHERE[refusal]} (" in out
    names_it = re.search("Quota '|POOL_EXHAUSTED", out)
    assert bool(names_it) != (refusal in ("many requests", "unavailable", "late exhaustion"))
    (first, request), (second, next_request) = workbench.made()
    assert (first, second) == (A, B)
    assert request == next_request
    assert list(workbench.instances) == [PATH], "what failed is deleted, it would be billed"
    nothing_was_made = refusal in ("quota", "many requests")
    assert workbench.made("DELETE", "/first") == ([] if nothing_was_made else [(A, {})])
    assert get_status(bucket)["state"] == "SUBMITTED"


def test_all_zones_full_is_one_sentence(bucket, workbench, checkout, run):
    set_status(bucket, "INTERRUPTED", seconds=100)
    workbench.zones = {A: "quota", B: "late stock-out", C: "stock-out"}
    code, _, err = run("submit")
    assert code == 1
    for part in ("no zone has room", f"{A} no quota", f"{B} out of stock", f"{C} out of stock"):
        assert part in err
    assert not workbench.instances
    status = get_status(bucket)
    assert (status["state"], status["seconds"]) == ("FAILED", 100)
    assert status["message"] in err


@pytest.mark.parametrize("refusal", ["forbidden", "late failure", "late abort"])
def test_what_no_zone_would_mend_ends_it(bucket, workbench, checkout, run, refusal):
    workbench.zones = {A: refusal}
    code, _, err = run("submit")
    assert code == 1
    assert f"no instance in {A}" in err
    assert ("Notebooks Admin" in err) == (refusal == "forbidden")
    assert [zone for zone, _ in workbench.made()] == [A]
    assert not workbench.instances
    assert bool(workbench.made("DELETE", "/first")) == (refusal != "forbidden")
    assert get_status(bucket)["state"] == "FAILED"


@pytest.mark.parametrize("refusal", ["conflict", "late conflict"])
def test_a_conflict_names_the_zone_and_the_cure(bucket, workbench, checkout, run, refusal):
    workbench.zones = {A: refusal}
    code, _, err = run("submit")
    assert code == 1
    assert f"an instance first exists in {A}" in err
    assert "delete" in err
    assert [zone for zone, _ in workbench.made()] == [A]
    assert not workbench.made("DELETE", "/first"), "it may be somebody else's"


def test_an_existing_instance_is_found_in_any_zone(bucket, workbench, checkout, run):
    workbench.instances[PATH] = {"name": PATH, "state": "STOPPED"}
    code, _, err = run("submit")
    assert code == 1
    assert f"an instance first exists in {B}" in err
    assert not workbench.made()
    assert bucket.names() == []


def test_an_unknown_end_does_not_create_a_second_instance(bucket, workbench, checkout, run):
    workbench.zones = {A: "silent"}
    code, _, err = run("submit")
    assert code == 1
    assert f"to create first in {A} was begun, but how it ended is not known" in err
    assert [zone for zone, _ in workbench.made()] == [A]
    assert get_status(bucket)["state"] == "SUBMITTED"


def test_what_cannot_be_deleted_is_reported(bucket, workbench, checkout, run):
    workbench.zones = {A: "stuck"}
    code, _, err = run("submit")
    assert code == 1
    assert f"what is left of first in {A} cannot be deleted: permission denied" in err
    assert get_status(bucket)["state"] == "SUBMITTED", "it may be running"
    assert [zone for zone, _ in workbench.made()] == [A]


def test_a_running_job_is_left_alone(bucket, workbench, checkout, run):
    set_status(bucket, "RUNNING", ago=60)
    code, _, err = run("submit")
    assert code == 1
    assert "first is running (heartbeat 6" in err
    assert not workbench.requests
    assert bucket.names() == ["jobs/first/status.json"]


@pytest.mark.parametrize(("state", "ago"), [("RUNNING", 400), ("INTERRUPTED", 10), ("FAILED", 1)])
def test_a_resubmit_goes_on(bucket, workbench, checkout, run, state, ago):
    set_status(bucket, state, seconds=812.5, ago=ago)
    bucket.write("jobs/first/runs/first/checkpoint.pt", b"weights")
    assert run("submit")[0] == 0
    status = get_status(bucket)
    assert (status["state"], status["seconds"]) == ("SUBMITTED", 812.5)
    assert bucket.read("jobs/first/runs/first/checkpoint.pt") == b"weights"


def test_a_used_up_limit_is_refused_before_anything_is_made(bucket, workbench, checkout, run):
    set_status(bucket, "TIMED_OUT", seconds=3600)
    code, _, err = run("submit")
    assert code == 1
    assert "max_seconds is 3600, but first has used 3600 s" in err
    assert not workbench.requests
    write_job(max_seconds=7200)
    assert run("submit")[0] == 0


def test_only_a_commit_runs(bucket, workbench, checkout, run):
    (checkout / "vertex_workbench" / "startup.sh").write_text("changed")
    code, _, err = run("submit")
    assert code == 1
    assert "vertex_workbench/startup.sh changed since commit" in err
    assert run("submit", "--dry-run")[0] == 0
    for name in ("vertex_workbench/startup.sh", "notebooks/tiny.ipynb"):
        subprocess.run(["git", "rm", "-q", "--cached", "-f", name], check=True)
        subprocess.run(["git", "commit", "-q", "-m", f"without {name}"], check=True)
        code, _, err = run("submit")
        assert code == 1
        assert f"{name} is not in commit" in err
    assert not workbench.requests
    assert not bucket.requests


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": {"epoch": 3}}, "parameters has 'epoch', .* known: epochs, rate"),
        ({"notebook": "notebooks/other.ipynb"}, "notebooks/other.ipynb is not in"),
        ({"machine": "a3-highgpu-8g"}, "job.json: machine is 'a3-highgpu-8g'"),
        ({"max_seconds": "1h"}, "job.json: max_seconds is '1h' .* whole number"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_wrong_job_is_refused_first(bucket, workbench, checkout, run, options, fields, message):
    write_job(**fields)
    code, _, err = run("submit", *options)
    assert code == 1
    assert re.search(message, err), err
    assert not workbench.requests
    assert not bucket.requests


@pytest.mark.parametrize(("parameter", "known"), [("target", True), ("steps", False)])
def test_former_names_of_parameters_are_those_that_the_notebook_takes(
    parameter, known, monkeypatch
):
    """Notebook 03 has a prediction_type, once called target, and no sampling steps."""
    monkeypatch.setattr(launch, "_checkout", lambda: ROOT)
    job = Job(
        **FIELDS | {"notebook": "notebooks/03_train_ddpm.ipynb", "parameters": {parameter: 1}}
    )
    if known:
        launch._check_notebook(job)
    else:
        with pytest.raises(ValueError, match=f"parameters has '{parameter}', which"):
            launch._check_notebook(job)


def test_a_missing_file_git_or_bucket_is_a_sentence(bucket, workbench, checkout, run, monkeypatch):
    write_job(output="gs://nowhere/jobs/first")
    code, _, err = run("submit")
    assert code == 1
    assert "gs://nowhere" in err
    assert not workbench.made()
    (checkout / ".git").rename(checkout / "gone")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    code, _, err = run("submit")
    assert code == 1
    assert "git" in err
    (checkout / "job.json").unlink()
    code, _, err = run("submit")
    assert code == 1
    assert "job.json" in err


def test_a_dry_run_makes_no_request_and_needs_no_credentials(bucket, workbench, checkout, run):
    code, out, _ = run("submit", "--dry-run")
    assert code == 0
    assert out.startswith("g2-standard-8 x 1.00 h = at most 0.85 USD")
    assert machines.PRICES_DATE in out.splitlines()[0]
    request = json.loads(out[out.index("{") : out.rindex("}") + 1])
    assert request["parent"] == f"projects/my-project/locations/{A}"
    assert request["instanceId"] == "first"
    assert request["instance"]["gceSetup"]["acceleratorConfigs"][0]["type"] == "NVIDIA_L4"
    assert "gcloud workbench instances create first" in out
    assert "would refuse" not in out
    assert not workbench.requests
    assert not bucket.requests
    (checkout / "data" / "README.md").write_text("changed")
    assert "submit would refuse: data/README.md changed" in run("submit", "--dry-run")[1]
