"""Signals and the end of a notebook's server: a training keeps its last step."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
import torch
from ipykernel.parentpoller import ParentPollerUnix
from tiny import Child, checkpoint, fit, write_data

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.storage import lock
from ddpmlib.training import checkpoint as checkpoints
from ddpmlib.training import interrupts


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch):
    """Within a second it is the same one, passed on by a launcher of processes; so is SIGTERM."""
    now = 0.0
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now)
    handler = signal.getsignal(signal.SIGINT)
    with interrupts.deferred_interrupt() as pressed:
        assert not pressed
        signal.raise_signal(signal.SIGINT)
        assert pressed
        signal.raise_signal(signal.SIGINT)
        now = 1.5
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_waits_for_the_end_of_a_step_and_saves(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="after step 6; checkpoint is saved"):
        fit(tmp_path, callback=lambda p: p.step == 6 and signal.raise_signal(signal.SIGTERM))
    assert torch.load(tmp_path / "run" / checkpoints.CHECKPOINT)["counters"]["step"] == 6


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(fit(tmp_path, epochs=1, num_samples=0)))
    thread.start()
    thread.join(60)
    assert isinstance(outcome[0], DDPM)


def train_slowly(folder: Path) -> None:
    """An epoch that does not end, so that only an interrupt saves; `step` says how far it is."""

    def slowly(progress):
        (folder / "step").write_text(str(progress.step))
        time.sleep(0.4)

    write_data(folder, mels=4000)
    fit(folder, callback=slowly, num_samples=0)


def kept(folder: Path) -> tuple[int, int]:
    """The last step that was made, and that of the checkpoint, when the lock is gone."""
    wait_until(lambda: not (folder / "run" / lock.FILE).exists())
    return int((folder / "step").read_text()), checkpoint(folder / "run")["counters"]["step"]


def wait_until(done) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_kernel_whose_server_is_killed_keeps_its_last_step(tmp_path):
    """The thread that ends such a kernel is ipykernel's own."""

    def kernel():
        ParentPollerUnix(os.getppid()).start()
        train_slowly(tmp_path)

    def server():
        (tmp_path / "pid").write_text(str(Child(kernel).pid))
        time.sleep(60)

    killed = Child(server)
    wait_until(lambda: (tmp_path / "step").exists())
    killed.send_signal(signal.SIGKILL)
    done, saved = kept(tmp_path)
    assert done == saved > 0
    wait_until(lambda: not Path("/proc", (tmp_path / "pid").read_text()).exists())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_keeps_its_last_step_when_papermill_is_ended(number, tmp_path):
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    code = f"import sys\nsys.path[:0] = {paths}\nfrom pathlib import Path\n"
    code += f"from test_interrupts import train_slowly\ntrain_slowly(Path({str(tmp_path)!r}))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-k", "python3"]
    papermill = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_until(lambda: (tmp_path / "step").exists())
    papermill.send_signal(number)
    assert papermill.wait(20) == -number
    done, saved = kept(tmp_path)
    assert done == saved > 0
