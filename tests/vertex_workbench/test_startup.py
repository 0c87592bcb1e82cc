"""startup.sh: what it prepares, and that nothing that fails keeps the machine on."""

import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloud import DROP
from instance import TOKEN, alive, make_environment, notebook_of, project, running_cloud
from workspace import ROOT

ARCHIVE = "jobs/first/input/project.tar.gz"


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", real_pip=False)


@pytest.fixture
def cloud(bucket, tmp_path, python):
    with running_cloud(bucket, tmp_path, python) as cloud:
        cloud.submit("x = 1")
        yield cloud


def assert_failed(cloud, instance, message: str) -> None:
    """The bucket has the status and the log, no unit was begun, and the power was cut."""
    assert instance.start().returncode != 0
    assert not instance.unit.exists()
    assert instance.calls()[-1] == "shutdown -P now"
    assert cloud.status()["state"] == "FAILED"
    assert cloud.status()["message"] == f"failed while {message}; see job.log"
    assert cloud.status()["seconds"] == 12
    assert f"failed while {message}" in cloud.bucket.read("jobs/first/job.log").decode()


def test_no_project(cloud):
    cloud.leave_status(state="RUNNING", seconds=12)
    cloud.bucket.delete(ARCHIVE)
    instance = cloud.boot()
    instance.home.mkdir()
    (instance.home / "status.json").write_text('{"state": "SUCCEEDED", "seconds": 2}')
    assert_failed(cloud, instance, "fetching the project")


def test_a_damaged_project(cloud):
    cloud.leave_status(state="RUNNING", seconds=12)
    cloud.bucket.write(ARCHIVE, cloud.bucket.read(ARCHIVE)[:-9000])
    assert_failed(cloud, cloud.boot(), "unpacking the project")


def test_a_damaged_job(cloud):
    cloud.leave_status(state="RUNNING", seconds=12)
    cloud.bucket.write("jobs/first/input/job.json", b'{"notebook": ')
    assert_failed(cloud, cloud.boot(), "fetching the project")


def test_beside_a_running_job_nothing_happens(cloud):
    instance = cloud.boot()
    instance.stub(instance.stubs / "systemctl", "#!/bin/sh\n")
    assert instance.start().returncode == 0
    assert instance.calls() == []
    assert not instance.home.exists()


def test_no_kernel(cloud):
    cloud.leave_status(state="RUNNING", seconds=12)
    instance = cloud.boot()
    instance.stub(instance.stubs / "jupyter", "#!/bin/sh\necho '{\"kernelspecs\": {}}'\n")
    assert_failed(cloud, instance, "finding the kernel python3")


def test_a_pytorch_that_is_too_old_keeps_its_pin_and_a_failed_installation_is_reported(
    cloud, tmp_path
):
    """With the real pip."""
    cloud.python = make_environment(tmp_path / "venv")
    cloud.leave_status(state="RUNNING", seconds=12)
    needs = (ROOT / "pyproject.toml").read_text().replace("torch>=2.6", "torch>=99.1")
    files = {"pyproject.toml": needs.encode()}
    cloud.bucket.write(ARCHIVE, project(notebook_of("x = 1"), **files))
    instance = cloud.boot()
    assert_failed(cloud, instance, "installing the project")
    assert "\ntorch==" in (instance.home / "project" / "constraints.txt").read_text()


def test_no_metadata(cloud):
    instance = cloud.boot()
    instance.environment["GCE_METADATA_HOST"] = "127.0.0.1:9"
    assert instance.start().returncode != 0
    assert instance.calls() == ["shutdown -P +30", "shutdown -P now"]
    assert "failed while reading the metadata" in instance.log()


def test_no_disk(cloud):
    instance = cloud.boot()
    instance.home.write_text("a file, where a folder is needed")
    assert instance.start().returncode != 0
    assert instance.calls() == ["shutdown -P +30", "shutdown -P now"]


def test_a_bucket_that_is_never_reached_powers_off_with_the_log_on_the_disk(cloud):
    instance = cloud.boot()
    cloud.bucket.fail(503, times=math.inf)
    assert instance.start().returncode != 0
    assert instance.calls()[-1] == "shutdown -P now"
    assert "failed while fetching the project" in instance.log()


def test_seconds_come_from_the_disk_where_the_bucket_cannot_be_read(cloud):
    cloud.bucket.delete(ARCHIVE)
    cloud.leave_status(state="RUNNING", seconds=1)
    instance = cloud.boot()
    instance.home.mkdir()
    (instance.home / "status.before").write_text('{"state": "RUNNING", "seconds": 2}')
    (instance.home / "status.json").write_text('{"state": "RUNNING", "seconds": 12}')
    cloud.bucket.fail(503, times=math.inf, method="GET", path="status.json")
    assert_failed(cloud, instance, "fetching the project")


def test_what_has_succeeded_stays_so_and_a_fresh_project_keeps_the_runs(cloud):
    """By an interpreter that its kernel calls by a bare name, which is the one beside jupyter; and
    the bucket is tried again."""
    cloud.leave_status(state="SUCCEEDED", seconds=12)
    cloud.bucket.fail(DROP, path="project.tar.gz")
    instance = cloud.boot()
    instance.environment["DDPM_RETRIES"] = "1"
    for folder in ("project", "new", "runs"):
        (instance.home / folder).mkdir(parents=True)
        (instance.home / folder / "old").write_text("of an earlier start")
    kernel = json.dumps({"kernelspecs": {"python3": {"spec": {"argv": ["python", "-m"]}}}})
    instance.stub(instance.stubs / "jupyter", f"#!/bin/sh\necho '{kernel}'\n")
    instance.stub(instance.stubs / "python", f'#!/bin/sh\nexec {cloud.python} "$@"\n')
    cloud.run(instance)
    assert f"kernel python3 is {instance.stubs}/python\n" in instance.log()
    assert instance.calls() == ["shutdown -P +30", "shutdown -P +91", "shutdown -c"]
    assert not (instance.home / "project" / "old").exists()
    assert (instance.home / "project" / "data" / "runs" / "old").exists()
    cloud.bucket.delete(ARCHIVE)
    assert instance.start().returncode != 0
    assert cloud.status()["state"] == "SUCCEEDED"


def test_a_killed_runner_is_reported_and_powers_off(cloud):
    """As the system kills one when memory is full."""
    instance = cloud.boot("x = 1", "import time\ntime.sleep(600)")
    instance.start()
    cloud.wait_for("job.log", b"Executing Cell 2")
    assert instance.runner().environ()["HOME"] == str(instance.folder)
    children = instance.runner().children()
    instance.runner().kill()
    instance.wait()
    assert cloud.status()["state"] == "FAILED"
    assert "failed while running: the runner ended with code 137" in cloud.status()["message"]
    assert b"ended with code 137" in cloud.bucket.read("jobs/first/job.log")
    assert instance.calls()[-1] == "shutdown -P now"
    deadline = time.monotonic() + 20
    while any(alive(child.pid) for child in children):  # systemd would end them
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_token_is_nowhere_to_be_read(cloud):
    """Not in a file, not in the bucket, not in the arguments or environment of a process."""
    spy = "import subprocess\nprint(subprocess.run(['ps', 'axeww'], capture_output=True).stdout)"
    instance = cloud.boot("x = 1", spy)
    curl = f'#!/bin/sh\n(echo "$@"; env) >>{instance.home}/seen\nexec /usr/bin/curl "$@"\n'
    instance.stub(instance.stubs / "curl", curl)
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert "project.tar.gz" in (instance.home / "seen").read_text()
    for path in instance.folder.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    for name in cloud.bucket.names():
        assert TOKEN.encode() not in cloud.bucket.read(name), name
    sent = [headers.get("Authorization") for headers in cloud.bucket.headers]
    assert f"Bearer {TOKEN}" in sent, "it was sent to the bucket"


def test_shellcheck_is_content():
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, ROOT / "vertex_workbench" / "startup.sh"])
    assert done.returncode == 0


def test_tools_of_the_machine_are_there():
    assert all(map(shutil.which, ("bash", "curl", "python3", "tar")))
