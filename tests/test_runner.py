"""A job from the boot of its instance to the power-off, in every way it may end."""

import importlib.metadata
import math
import re
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from instance import OUTPUT, make_environment, running_cloud
from tiny import assert_same_run, fit
from workspace import ROOT

import ddpmlib
from ddpmlib import storage
from vertex_workbench import runner

TRAIN = """
import time
from pathlib import Path
from tiny import fit
def slowly(progress):
    print("step", progress.step, flush=True)
    time.sleep(pause)
_ = fit(Path("../data"), run="runs/tiny", callback=slowly)
"""
WAIT = "import time\nprint('here', flush=True)\ntime.sleep(600)"


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def cloud(bucket, tmp_path, python):
    with running_cloud(bucket, tmp_path, python) as cloud:
        yield cloud


def test_success_and_a_restart_that_neither_runs_nor_powers_off(cloud):
    """Typed parameters arrive, the runs are mirrored, nothing of the tests' environment changes."""
    types = {"a": 1e-05, "b": True, "c": "007", "d": [1, 2.5, "x"], "e": None}
    check = f"assert [a, b, c, d, e] == {list(types.values())}; assert type(a) is float; b is True"
    save = "from pathlib import Path\nPath('../data/runs/x.txt').write_text('made')"
    instance = cloud.boot("a = b = c = d = e = 0", check, "", save, parameters=types)
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell was completed")
    assert cloud.bucket.read("jobs/first/runs/x.txt") == b"made"
    assert cloud.status()["seconds"] < 60
    assert Path(ddpmlib.__file__).parent == ROOT / "ddpmlib"
    pins = (instance.home / "project" / "constraints.txt").read_text().splitlines()
    kept = [pin for pin in pins if re.match("(torch|setuptools|pip)==", pin)]
    assert kept == [f"torch=={importlib.metadata.version('torch')}"]
    instance.record.unlink()
    before = cloud.status()
    cloud.run(instance)
    assert instance.calls() == ["shutdown -P +30", "shutdown -P +91", "shutdown -c"]
    assert instance.log().count("Executing Cell 1-") == 1
    assert cloud.status() == before


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "print('before')\nraise ValueError('no such voice\\nat all')",
            "cell In [2]: ValueError: no such voice",
        ),
        ("import os\nos.kill(os.getpid(), 9)", "cell In [2]: the kernel died"),
        ("import sys\nsys.exit(0)", "cell In [2] ended the kernel"),
    ],
    ids=["exception", "killed kernel", "sys.exit(0)"],
)
def test_failure_in_a_cell(cloud, cell, message):
    """Whatever comes behind: `after` is not run."""
    instance = cloud.boot("x = 1", cell, "print('after')")
    cloud.run(instance)
    cloud.assert_ended(instance, "FAILED", message)
    assert "papermill after" not in instance.log()


def test_sigterm_saves_and_an_empty_machine_goes_on_to_the_same_end(cloud, tmp_path):
    first = cloud.boot("pause = 0", TRAIN, parameters={"pause": 0.5})
    first.start()
    cloud.wait_for("runs/tiny/checkpoint.pt")
    first.terminate()
    first.wait()
    cloud.assert_ended(first, "INTERRUPTED", "stopped from outside")
    assert b"state is saved" in cloud.bucket.read("jobs/first/job.ipynb")
    assert "is killed" not in first.log()
    used = cloud.status()["seconds"]
    cloud.submit("pause = 0", TRAIN)
    second = cloud.boot()
    cloud.run(second)
    cloud.assert_ended(second, "SUCCEEDED", "every cell")
    steps = [int(line.split()[-1]) for line in first.log().splitlines() if " step " in line]
    went_on = [int(line.split()[-1]) for line in second.log().splitlines() if " step " in line]
    assert steps + went_on == list(range(1, 13))
    assert went_on
    assert cloud.status()["seconds"] >= used
    storage.download(f"{OUTPUT}/runs/tiny", tmp_path / "mirrored")
    fit(tmp_path)
    assert_same_run(tmp_path / "run", tmp_path / "mirrored")


def test_a_cell_that_catches_the_interrupt_is_the_last_one(cloud):
    cell = f"try:\n    {WAIT.replace(chr(10), chr(10) + '    ')}\nexcept KeyboardInterrupt:\n"
    instance = cloud.boot("x = 1", cell + "    print('saved')", "print('after')")
    instance.start()
    cloud.wait_for("job.log", b"papermill here")
    instance.terminate()
    instance.wait()
    cloud.assert_ended(instance, "INTERRUPTED", "stopped from outside")
    assert "papermill saved" in instance.log()
    assert "papermill after" not in instance.log()


def test_the_spending_limit_counts_all_starts_and_ends_what_ignores_interrupts(cloud):
    cloud.say(state="INTERRUPTED", seconds=100)
    ignore = "import signal\n_ = signal.signal(signal.SIGINT, lambda *_: print('once', flush=True))"
    again = "while True:\n    time.sleep(1)"
    instance = cloud.boot(ignore, f"{ignore}\n{WAIT}\n{again}", max_seconds=104)
    instance.environment["DDPM_GRACE"] = "3"
    cloud.run(instance)
    cloud.assert_ended(instance, "TIMED_OUT", "max_seconds is 104, all used")
    assert instance.log().count("papermill once") == 1, "a second one would break a checkpoint off"
    assert "the kernel did not end in 3 s and is killed" in instance.log()
    assert 104 <= cloud.status()["seconds"] < 120
    cloud.run(instance)
    assert cloud.status()["state"] == "TIMED_OUT"
    assert "used up by earlier starts" in cloud.status()["message"]
    assert instance.log().count("papermill here") == 1


def test_no_gpu(cloud):
    instance = cloud.boot("x = 1", "y = 2")
    instance.environment["DDPM_GPU_PATIENCE"] = "1"
    instance.stub(instance.stubs / "nvidia-smi", "#!/bin/sh\nexit 9\n")
    cloud.run(instance)
    assert cloud.status()["state"] == "FAILED"
    assert cloud.status()["message"] == "no GPU after 1 s"
    assert instance.calls()[-1] == "shutdown -P now"
    cloud.submit("x = 1", "y = 2", machine="e2-standard-8")
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")


def test_a_driver_that_is_not_there_or_hangs_is_no_gpu(monkeypatch):
    for error in (FileNotFoundError("nvidia-smi"), subprocess.TimeoutExpired("nvidia-smi", 60)):
        monkeypatch.setattr(runner.subprocess, "run", lambda *_, error=error, **__: raises(error))
        assert not runner.has_gpu()


def raises(error: Exception):
    raise error


def test_a_stop_while_it_waits_for_the_gpu_is_no_failure(monkeypatch):
    monkeypatch.setattr(runner, "has_gpu", lambda: False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    watch = runner.Watch(60)
    watch.state = "INTERRUPTED"
    job = {"machine": "g2-standard-8", "accelerator": "", "accelerator_count": 0}
    mirror = SimpleNamespace(notebook=None)
    assert runner.run(job, mirror, watch)[0] == "INTERRUPTED"


def test_a_bucket_that_is_away_for_a_while_gets_everything_at_the_end(cloud):
    cell = "import time\nfrom pathlib import Path\nPath('../data/runs/x').write_text('made')\n"
    instance = cloud.boot("x = 1", f"{cell}print('here')\ntime.sleep(5)")
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    time.sleep(3)
    cloud.bucket.faults.clear()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert instance.log().count("not mirrored: gs://corpora/jobs/first") >= 1
    assert cloud.bucket.read("jobs/first/runs/x") == b"made"


def test_a_bucket_away_to_the_end_leaves_all_on_the_disk_and_the_next_start_brings_it(cloud):
    """Told by a notebook that counts how often it has been run on this disk."""
    count = "n = len(list(runs.glob('*.txt'))) + 1\n(runs / f'{n}.txt').write_text('made')\n"
    head = "import time\nfrom pathlib import Path\nruns = Path('../data/runs')\n"
    instance = cloud.boot("x = 1", f"{head}{count}time.sleep(2 if n == 1 else 0)")
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    instance.wait()
    assert instance.calls()[-1] == "shutdown -P now"
    assert (instance.home / "job.ipynb").exists()
    cloud.bucket.faults.clear()
    assert cloud.status()["state"] == "RUNNING"
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert cloud.bucket.names("jobs/first/runs") == [
        "jobs/first/runs/1.txt",
        "jobs/first/runs/2.txt",
    ]
