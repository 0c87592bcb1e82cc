"""Signals and the end of a notebook's server: a training keeps its last step."""

import signal
import threading

import pytest
import torch
from tiny import fit

from ddpmlib.diffusion.ddpm import DDPM
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
