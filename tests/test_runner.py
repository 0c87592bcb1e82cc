"""A job from the boot of its instance to the power-off, in every way it may end."""

import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from instance import TOKEN, Instance, MetadataServer, make_environment, notebook_of, project
from tiny import assert_same_run, fit
from workspace import ROOT

import ddpmlib
from ddpmlib import storage

OUTPUT = "gs://corpora/jobs/first"
TRAIN = """
import time
from pathlib import Path
from tiny import fit
def slowly(progress):
    print("step", progress.step, flush=True)
    time.sleep(pause)
_ = fit(Path("../data"), run="runs/tiny", callback=slowly, epochs=epochs)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def cloud(bucket, tmp_path, python):
    """The bucket with a job in it; `submit` changes the job, `boot` starts an instance."""
    server = MetadataServer({"ddpm-output": OUTPUT, "ddpm-max-seconds": "3600"})
    cloud = Cloud(bucket, tmp_path, python, f"127.0.0.1:{server.server_port}")
    yield cloud
    for instance in cloud.instances:  # nothing may go on behind a failed test
        if instance.unit.exists():
            pid = instance.unit.read_text()
            subprocess.run(["pkill", "-KILL", "-s", pid])
    server.stop()


class Cloud:
    def __init__(self, bucket, folder: Path, python: Path, metadata: str):
        self.bucket, self.folder, self.python, self.metadata = bucket, folder, python, metadata
        self.instances: list[Instance] = []

    def submit(self, *cells: str, **changes) -> None:
        job = {"notebook": "notebooks/job.ipynb", "parameters": {}, "max_seconds": 3600}
        job |= {"machine": "g2-standard-8", "accelerator": "", "accelerator_count": 0}
        self.bucket.write("jobs/first/input/job.json", json.dumps(job | changes).encode())
        self.bucket.write("jobs/first/input/project.tar.gz", project(notebook_of(*cells)))

    def boot(self, *cells: str, **changes) -> Instance:
        """A new machine with an empty disk; with cells, a job is submitted for it first."""
        if cells:
            self.submit(*cells, **changes)
        folder = self.folder / f"machine{len(self.instances)}"
        folder.mkdir()
        self.instances.append(Instance(folder, self.python, self.bucket.url, self.metadata))
        return self.instances[-1]

    def run(self, *cells: str, **changes) -> Instance:
        """Boot, and wait for the end."""
        instance = self.boot(*cells, **changes)
        assert instance.start().returncode == 0, instance.log()
        instance.wait()
        return instance

    def status(self) -> dict:
        return json.loads(self.bucket.read("jobs/first/status.json"))

    def wait_for(self, name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while f"jobs/first/{name}" not in self.bucket.names():
            assert time.monotonic() < deadline, self.instances[-1].log()
            time.sleep(0.1)

    def assert_ended(self, instance: Instance, state: str, message: str) -> None:
        """State, log and executed notebook are in the bucket; the power was cut last of all."""
        assert self.status()["state"] == state, instance.log()
        assert message in self.status()["message"]
        assert "\n" not in self.status()["message"]
        log = self.bucket.read("jobs/first/job.log").decode()
        assert "startup.sh begins" in log
        assert f"{state}: " in log
        notebook = nbformat.reads(self.bucket.read("jobs/first/job.ipynb").decode(), 4)
        assert "papermill" in notebook.metadata
        assert instance.calls()[0] == "shutdown -P +90"
        assert instance.calls()[-1] == "shutdown -P now"


def test_success(cloud):
    """Typed parameters arrive, the runs are mirrored, nothing of the tests' environment changes."""
    types = {"a": 1e-05, "b": True, "c": "007", "d": [1, 2.5], "e": None}
    check = f"assert [a, b, c, d, e] == {list(types.values())}; assert type(a) is float"
    save = "from pathlib import Path\nPath('../data/runs/x.txt').write_text('made')"
    instance = cloud.run("a = b = c = d = e = 0", check, save, parameters=types)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell was completed")
    assert cloud.bucket.read("jobs/first/runs/x.txt") == b"made"
    assert cloud.status()["seconds"] < 60
    assert Path(ddpmlib.__file__).parent == ROOT / "ddpmlib"
    assert "\ntorch==" not in (instance.home / "project" / "constraints.txt").read_text()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "print('before')\nraise ValueError('no such voice\\nat all')",
            "ValueError: no such voice",
        ),
        ("import os\nos.kill(os.getpid(), 9)", "the kernel died"),
        ("import sys\nsys.exit(0)", "was not completed"),
    ],
    ids=["exception", "killed kernel", "sys.exit(0)"],
)
def test_failure_in_a_cell(cloud, cell, message):
    instance = cloud.run("x = 1", cell, "after = 1")
    cloud.assert_ended(instance, "FAILED", message)


def test_sigterm_saves_and_an_empty_machine_goes_on_to_the_same_end(cloud, tmp_path):
    first = cloud.boot("pause = 0.3; epochs = 3", TRAIN, parameters={"pause": 0.3})
    first.start()
    cloud.wait_for("runs/tiny/checkpoint.pt")
    first.terminate()
    first.wait()
    cloud.assert_ended(first, "INTERRUPTED", "stopped from outside")
    assert b"state is saved" in cloud.bucket.read("jobs/first/job.ipynb")
    used = cloud.status()["seconds"]
    cloud.submit("pause = 0; epochs = 3", TRAIN)
    second = cloud.run()
    cloud.assert_ended(second, "SUCCEEDED", "every cell")
    assert "restoring runs/tiny" in second.log()
    assert "step 1\n" not in second.log()
    assert cloud.status()["seconds"] >= used
    storage.download(f"{OUTPUT}/runs/tiny", tmp_path / "mirrored")
    fit(tmp_path)
    assert_same_run(tmp_path / "run", tmp_path / "mirrored")


def test_the_spending_limit_counts_all_starts(cloud):
    cloud.bucket.write("jobs/first/status.json", json.dumps({"seconds": 100}).encode())
    cell = "import time\nprint('here', flush=True)\ntime.sleep(600)"
    instance = cloud.run("x = 1", cell, max_seconds=104)
    cloud.assert_ended(instance, "TIMED_OUT", "max_seconds is 104, all used")
    assert 104 <= cloud.status()["seconds"] < 120
    instance.start()
    instance.wait()
    assert cloud.status()["state"] == "TIMED_OUT"
    assert "used up by earlier starts" in cloud.status()["message"]
    assert instance.log().count("papermill here") == 1


@pytest.mark.parametrize("driver", ["finds none", "is not there"])
def test_no_gpu(cloud, driver):
    instance = cloud.boot("x = 1", "y = 2")
    instance.environment["DDPM_GPU_PATIENCE"] = "1"
    instance.stub(instance.gpu, "#!/bin/sh\nexit 9\n")
    if driver == "is not there":
        instance.gpu.unlink()
    instance.start()
    instance.wait()
    assert cloud.status()["state"] == "FAILED"
    assert cloud.status()["message"] == "no GPU after 1 s"
    assert instance.calls()[-1] == "shutdown -P now"
    cloud.submit("x = 1", "y = 2", machine="e2-standard-8")
    instance.start()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")


def test_after_success_a_restart_neither_runs_nor_powers_off(cloud):
    instance = cloud.run("x = 1", "print('ran')")
    assert cloud.status()["state"] == "SUCCEEDED"
    before = cloud.status()
    instance.record.unlink()
    instance.start()
    instance.wait()
    assert instance.calls() == ["shutdown -P +90", "shutdown -c"]
    assert instance.log().count("ran\n") == 1
    assert cloud.status() == before


def test_a_bucket_that_is_away_for_a_while_gets_everything_at_the_end(cloud):
    cell = "import time\nfrom pathlib import Path\nPath('../data/runs/x').write_text('made')\n"
    instance = cloud.boot("x = 1", f"{cell}print('here')\ntime.sleep(6)")
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    time.sleep(4)
    cloud.bucket.faults.clear()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert "not mirrored: gs://corpora/jobs/first" in instance.log()
    assert cloud.bucket.read("jobs/first/runs/x") == b"made"


def test_a_bucket_away_to_the_end_leaves_all_on_the_disk_and_the_next_start_brings_it(cloud):
    instance = cloud.boot("epochs = 1; pause = 0.5", TRAIN)
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    instance.wait()
    assert instance.calls()[-1] == "shutdown -P now"
    assert (instance.home / "runs" / "tiny" / "model.safetensors").exists()
    assert (instance.home / "job.ipynb").exists()
    cloud.bucket.faults.clear()
    assert cloud.status()["state"] == "RUNNING"
    instance.start()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert instance.log().count("step 1\n") == 1, "it went on from what was on the disk"
    ours = (instance.home / "runs" / "tiny" / "checkpoint.pt").read_bytes()
    assert cloud.bucket.read("jobs/first/runs/tiny/checkpoint.pt") == ours


def test_a_bucket_that_is_never_reached_powers_off(cloud):
    instance = cloud.boot("x = 1", "y = 1")
    cloud.bucket.fail(503, times=math.inf)
    assert instance.start().returncode != 0
    assert not instance.unit.exists()
    assert instance.calls()[-1] == "shutdown -P now"
    assert "startup.sh failed while fetching the project" in instance.log()


@pytest.mark.parametrize("what", ["nothing", "damaged", "no metadata"])
def test_a_project_that_cannot_be_set_up_is_reported_with_the_log(cloud, what):
    cloud.bucket.write("jobs/first/status.json", json.dumps({"seconds": 12}).encode())
    instance = cloud.boot("x = 1", "y = 1")
    name = "jobs/first/input/project.tar.gz"
    if what == "damaged":
        cloud.bucket.write(name, b"no archive")
    elif what == "nothing":
        cloud.bucket.delete(name)
    else:
        instance.environment["GCE_METADATA_HOST"] = "127.0.0.1:9"
    assert instance.start().returncode != 0
    assert instance.calls()[-1] == "shutdown -P now"
    if what == "no metadata":
        return
    step = {"damaged": "unpacking", "nothing": "fetching"}[what]
    assert cloud.status()["state"] == "FAILED"
    assert f"failed while {step} the project" in cloud.status()["message"]
    assert cloud.status()["seconds"] == 12
    assert b"startup.sh begins" in cloud.bucket.read("jobs/first/job.log")


def test_the_token_is_nowhere_to_be_read(cloud):
    """Not in a file, not in the bucket, not in the arguments of a process."""
    spy = "import subprocess\nprint(subprocess.run(['ps', 'axeww'], capture_output=True).stdout)"
    instance = cloud.boot("x = 1", spy)
    curl = f'#!/bin/sh\necho "$@" >>{instance.home}/arguments\nexec /usr/bin/curl "$@"\n'
    instance.stub(instance.gpu.with_name("curl"), curl)
    instance.start()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert "project.tar.gz" in (instance.home / "arguments").read_text()
    for path in instance.home.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    for name in cloud.bucket.names():
        assert TOKEN.encode() not in cloud.bucket.read(name), name


def test_shellcheck_is_content():
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, ROOT / "vertex_workbench" / "startup.sh"])
    assert done.returncode == 0


def test_tools_of_the_machine_are_there():
    assert all(map(shutil.which, ("bash", "curl", "python3", "tar")))
