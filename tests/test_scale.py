"""Training beyond one process and beyond the memory of the machine."""

import os
import subprocess
import sys

import pytest
from tiny import checkpoint, fit, start, write_data

from ddpmlib import run

TWO = """
import os, signal
from pathlib import Path
from ddpmlib import course
from tiny import fit
rate = course.learning_rate
def press(config, step, share):
    if step == 5 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)
    return rate(config, step, share)
course.learning_rate = press
fit(Path(__file__).parent)
"""


def test_two_processes_stop_together_and_train_like_one(tmp_path):
    """Ctrl-C reaches the second; one process goes on, and ends where one alone would have."""
    write_data(tmp_path)
    (tmp_path / "two.py").write_text(TWO)
    options = ["--standalone", "--nproc-per-node=2", tmp_path / "two.py"]
    launch = [sys.executable, "-m", "torch.distributed.run", *options]
    path = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(launch, env=path, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert checkpoint(tmp_path / "run")["counters"]["step"] == 6, done.stderr
    fit(tmp_path)
    fit(tmp_path, "alone")
    ours, theirs = (run.read_metrics(folder) for folder in (tmp_path / "run", tmp_path / "alone"))
    for name in ("train_loss", "validation_loss"):
        assert [r[name] for r in ours] == pytest.approx([r[name] for r in theirs], abs=1e-5)


def test_data_larger_than_memory_trains(tmp_path):
    """A file of 1 GB under a limit of 400 MB more than Python needs; it is sparse on the disk."""
    code = """
params = SpectrogramParams()
path, shape = folder / "tiny.npy", (32_768, 1, 64, 256)
np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape).flush()
describe(path, shape, params, [("a.wav", "train"), ("b.wav", "validation")])
fit(folder, "first", image_size=(64, 256), max_minutes=1e-6, num_samples=0)
used = int(next(line for line in open("/proc/self/status") if "VmData" in line).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, ((used << 10) + (400 << 20),) * 2)
fit(folder, image_size=(64, 256), max_minutes=0.02, num_samples=0)
try:
    np.load(path)
except MemoryError:
    print("too large", checkpoint(folder / "run")["counters"]["step"])
"""
    answer, trouble = start(tmp_path, code).communicate(timeout=120)
    assert answer.startswith("too large"), trouble
    assert int(answer.split()[-1]) > 2
