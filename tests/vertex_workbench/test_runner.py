"""A job from the boot of its instance to the power-off, in every way it may end."""

import importlib.metadata
import math
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from instance import OUTPUT, make_environment, notebook_of, running_cloud
from tiny import assert_same_run, fit
from workspace import ROOT

import ddpmlib
from ddpmlib.storage import paths
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
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", real_pip=False)


@pytest.fixture
def cloud(bucket, tmp_path, python):
    with running_cloud(bucket, tmp_path, python) as cloud:
        yield cloud


def test_success_and_a_restart_that_neither_runs_nor_powers_off(cloud, tmp_path):
    """Typed parameters arrive, the runs are mirrored, nothing of the tests' environment changes,
    by the real pip."""
    types = {"a": 1e-05, "b": True, "c": "007", "d": [1, 2.5, "x"], "e": None}
    check = f"assert [a, b, c, d, e] == {list(types.values())}; assert type(a) is float; b is True"
    save = "from pathlib import Path\nPath('../data/runs/x.txt').write_text('made')"
    cloud.python = make_environment(tmp_path / "venv")
    instance = cloud.boot("a = b = c = d = e = 0", check, "", save, parameters=types)
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell was completed")
    assert cloud.bucket.read("jobs/first/runs/x.txt") == b"made"
    assert cloud.status()["seconds"] < 60
    assert Path(ddpmlib.__file__).parent == ROOT / "ddpmlib"
    pins = (instance.home / "project" / "constraints.txt").read_text().splitlines()
    pinned = [pin for pin in pins if re.match("(torch|setuptools|pip)==", pin)]
    assert pinned == [f"torch=={importlib.metadata.version('torch')}"]
    instance.record.unlink()
    before = cloud.status()
    cloud.run(instance)
    assert instance.calls() == ["shutdown -P +30", "shutdown -P +91", "shutdown -c"]
    assert instance.log().count("Executing Cell 1-") == 1
    assert cloud.status() == before


def test_an_exception_in_a_cell(cloud):
    """The cells behind it are not run."""
    cell = "print('before')\nraise ValueError('no such voice\\nat all')"
    instance = cloud.boot("x = 1", cell, "print('after')")
    cloud.run(instance)
    cloud.assert_ended(instance, "FAILED", "cell In [2]: ValueError: no such voice")
    assert "papermill before" in instance.log()
    assert "papermill after" not in instance.log()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("import os\nos.kill(os.getpid(), 9)", "cell In [2]: the kernel died"),
        ("import sys\nsys.exit(0)", "cell In [2] ended the kernel"),
    ],
    ids=["killed kernel", "sys.exit(0)"],
)
def test_a_kernel_that_ends_in_a_cell(tmp_path, monkeypatch, caplog, cell, message):
    """As above, without a machine."""
    (tmp_path / "job.ipynb").write_bytes(notebook_of("print('before')", cell, "print('after')"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    job = {"notebook": str(tmp_path / "job.ipynb"), "parameters": {}, "machine": "e2-standard-8"}
    job |= {"accelerator": "", "accelerator_count": 0}
    mirror = SimpleNamespace(notebook=tmp_path / "executed.ipynb", restore=lambda: None)
    with caplog.at_level("INFO", "papermill"):
        state, sentence = runner.run(job, mirror, runner.Watch(60))
    assert state == "FAILED"
    assert sentence.startswith(message)
    printed = [message.strip() for message in caplog.messages]
    assert "before" in printed
    assert "after" not in printed


def test_sigterm_saves_and_an_empty_machine_goes_on_to_the_same_end(cloud, tmp_path):
    first = cloud.boot("pause = 0", TRAIN, parameters={"pause": 0.5})
    first.start()
    cloud.wait_for("runs/tiny/checkpoint.pt")
    first.terminate()
    first.wait()
    cloud.assert_ended(first, "INTERRUPTED", "stopped from outside")
    assert b"checkpoint is saved" in cloud.bucket.read("jobs/first/job.ipynb")
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
    paths.download(f"{OUTPUT}/runs/tiny", tmp_path / "mirrored")
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
    cloud.leave_status(state="INTERRUPTED", seconds=100)
    ignore = "import signal\n_ = signal.signal(signal.SIGINT, lambda *_: print('once', flush=True))"
    again = "while True:\n    time.sleep(1)"
    instance = cloud.boot(ignore, f"{ignore}\n{WAIT}\n{again}", max_seconds=104)
    instance.environment["DDPM_GRACE"] = "1.5"
    cloud.run(instance)
    cloud.assert_ended(instance, "TIMED_OUT", "max_seconds is 104, all used")
    assert instance.log().count("papermill once") == 1, "a second one would break a checkpoint off"
    assert "the kernel did not end in 1.5 s and is killed" in instance.log()
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
    cell = "import time\nfrom pathlib import Path\nruns = Path('../data/runs')\n"
    cell += "(runs / 'x').write_text('made')\nwhile not (runs / 'back').exists(): time.sleep(0.1)"
    instance = cloud.boot("x = 1", cell)
    instance.environment["DDPM_BUCKET_SECONDS"] = "0.5"
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    instance.wait_for_log("not mirrored")
    cloud.bucket.faults.clear()
    (instance.home / "runs" / "back").touch()
    instance.wait()
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    assert instance.log().count("not mirrored: gs://corpora/jobs/first") >= 1
    assert cloud.bucket.read("jobs/first/runs/x") == b"made"


def test_a_bucket_away_to_the_end_leaves_all_on_the_disk_and_the_next_start_brings_it(cloud):
    """The notebook counts how often it has been run on this disk."""
    count = "n = len(list(runs.glob('*.txt'))) + 1\n(runs / f'{n}.txt').write_text('made')\n"
    head = "import time\nfrom pathlib import Path\nruns = Path('../data/runs')\n"
    gone = "while not (runs / 'gone').exists(): time.sleep(0.1)"
    instance = cloud.boot("x = 1", f"{head}{count}{gone}")
    instance.environment |= {"DDPM_BUCKET_SECONDS": "0.5", "DDPM_FINAL_SECONDS": "1"}
    instance.start()
    cloud.wait_for("status.json")
    cloud.bucket.fail(503, times=math.inf)
    (instance.home / "runs" / "gone").touch()
    instance.wait()
    assert instance.calls()[-1] == "shutdown -P now"
    assert (instance.home / "job.ipynb").exists()
    cloud.bucket.faults.clear()
    assert cloud.status()["state"] == "RUNNING"
    cloud.run(instance)
    cloud.assert_ended(instance, "SUCCEEDED", "every cell")
    names = cloud.bucket.names("jobs/first/runs")
    assert [name.rpartition("/")[2] for name in names] == ["1.txt", "2.txt", "gone"]
