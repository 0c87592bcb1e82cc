"""The loop: the loss falls, a run resumes to the bit wherever it was stopped, errors are named."""

import math
import os
import re
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import (
    EPOCHS,
    NETWORK,
    PARAMS,
    STEPS,
    Child,
    assert_same,
    assert_same_run,
    checkpoint,
    describe,
    fit,
    tiny_config,
    write_data,
)

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import WEIGHTS
from ddpmlib.models.devices import make_accelerator
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.training import loop, run_directory, step_schedule
from ddpmlib.training.run_directory import read_metrics


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run folder of an uninterrupted training."""
    fit(folder := tmp_path_factory.mktemp("whole"))
    return folder / "run"


def interrupt_at(step: int):
    """A callback that presses Ctrl-C."""
    return lambda progress: progress.step == step and os.kill(os.getpid(), signal.SIGINT)


def test_the_loss_falls(tmp_path):
    write_data(tmp_path, mels=32, validation=8)
    fit(tmp_path, epochs=25, batch_size=8, learning_rate=4e-3, num_samples=0, ema_decay=0.9)
    rows = read_metrics(tmp_path / "run")
    assert rows[-1]["train_loss"] < 0.6 * rows[0]["train_loss"]
    assert rows[-1]["validation_loss"] < 0.8 * rows[0]["validation_loss"]


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2, EPOCHS * STEPS])
def test_a_run_stopped_by_ctrl_c_goes_on_as_if_it_had_not_been(step, whole, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=f"stopped after step {step}; checkpoint is saved"):
        fit(tmp_path, callback=interrupt_at(step))
    assert checkpoint(tmp_path / "run")["counters"]["step"] == step
    assert signal.getsignal(signal.SIGINT) is handler
    fit(tmp_path)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize(("number", "saved"), [(signal.SIGINT, 6), (signal.SIGKILL, 5)])
def test_a_run_stopped_from_outside_goes_on_as_if_it_had_not_been(number, saved, whole, tmp_path):
    def wait(progress):
        print(progress.step)
        while progress.step == 6 and not (tmp_path / "sent").exists():
            time.sleep(0.01)

    child = Child(lambda: fit(tmp_path, callback=wait, checkpoint_minutes=1e-9))
    assert next(line for line in child.stdout if line.strip() == "6")
    child.send_signal(number)
    (tmp_path / "sent").touch()
    _, trouble = child.communicate(timeout=60)
    assert child.returncode != 0
    assert ("checkpoint is saved" in trouble) == (number == signal.SIGINT)
    assert checkpoint(tmp_path / "run")["counters"]["step"] == saved
    fit(tmp_path, checkpoint_minutes=1e-9)
    theirs = checkpoint(whole)
    theirs["config"]["checkpoint_minutes"] = 1e-9
    assert_same(checkpoint(tmp_path / "run"), theirs)
    assert [row["epoch"] for row in read_metrics(tmp_path / "run")] == [1, 2, 3]


def test_samples_that_a_kill_prevented_are_made_up_for(whole, tmp_path, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(run_directory, "write_samples", killed)
        with pytest.raises(SystemExit):
            fit(tmp_path)
    assert not (tmp_path / "run/samples").exists()
    fit(tmp_path)
    assert_same_run(tmp_path / "run", whole)


def test_sampling_and_validation_never_touch_the_training(whole, tmp_path):
    write_data(tmp_path, validation=0)
    fit(tmp_path, num_samples=0)
    ours, theirs = checkpoint(tmp_path / "run"), checkpoint(whole)
    for part in ("network", "ema", "optimizer", "counters"):
        assert_same(ours[part], theirs[part], part)
    assert not any((tmp_path / "run").glob("samples/*"))
    assert {row["validation_loss"] for row in read_metrics(tmp_path / "run")} == {None}


def test_resuming_a_finished_run_does_nothing(whole, tmp_path):
    fit(tmp_path)
    before = {f: f.read_bytes() for f in (tmp_path / "run").rglob("*") if f.is_file()}
    steps = []
    model = fit(tmp_path, callback=steps.append)
    assert steps == []
    assert before == {f: f.read_bytes() for f in (tmp_path / "run").rglob("*") if f.is_file()}
    assert_same(dict(model.network.state_dict()), load_file(whole / WEIGHTS))


def test_saved_and_returned_are_the_averaged_weights(tmp_path):
    returned = fit(tmp_path).network.state_dict()
    state, saved = checkpoint(tmp_path / "run"), load_file(tmp_path / "run" / WEIGHTS)
    assert_same(dict(returned), saved)
    assert_same({name: state["ema"][f"module.{name}"] for name in saved}, saved)
    assert not torch.equal(saved["stem.weight"], state["network"]["stem.weight"])
    assert state["ema"]["n_averaged"] == EPOCHS * STEPS


def test_max_minutes_stops_inside_an_epoch_and_more_minutes_go_on(whole, tmp_path):
    seen = []
    fit(tmp_path, max_minutes=1e-6, callback=seen.append)
    assert (len(seen), seen[0].step, seen[0].share) == (1, 1, 1)
    assert len(seen[0].samples) == 4
    rows = read_metrics(tmp_path / "run")
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 1)]
    assert checkpoint(tmp_path / "run")["counters"]["step"] == 1
    fit(tmp_path, max_minutes=1e-6)  # used up
    assert checkpoint(tmp_path / "run")["counters"]["step"] == 1
    fit(tmp_path)
    assert_same_run(tmp_path / "run", whole)


def test_gradients_are_clipped(tmp_path):
    """So short that Adam, which does not heed their length otherwise, takes them for nothing."""
    fit(tmp_path, "first", epochs=1, num_samples=0, learning_rate=1e-12)
    fit(tmp_path, "clipped", epochs=1, num_samples=0, clip_norm=1e-12)
    fit(tmp_path, "free", epochs=1, num_samples=0)
    first, clipped, free = (
        checkpoint(tmp_path / run)["network"]["stem.weight"] for run in ("first", "clipped", "free")
    )
    assert (clipped - first).abs().max() < 1e-6
    assert (free - first).abs().max() > 1e-4


def test_time_of_a_resumed_run_counts_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callback=interrupt_at(2))
    before = checkpoint(tmp_path / "run")["counters"]["seconds"]
    seen = []
    fit(tmp_path, callback=seen.append)
    minutes = [progress.minutes for progress in seen]
    assert before / 60 < minutes[0] < before / 60 + 0.2
    assert minutes == sorted(minutes)


def test_the_callback_is_called_after_every_step(tmp_path):
    seen = []
    fit(tmp_path, callback=seen.append, sample_every=2)
    assert [p.step for p in seen] == list(range(1, EPOCHS * STEPS + 1))
    assert [p.epoch for p in seen] == [1] * STEPS + [2] * STEPS + [3] * STEPS
    assert [p.share for p in seen] == pytest.approx([s / 12 for s in range(1, 13)])
    assert [p.step for p in seen if p.metrics] == [4, 8, 12]
    assert [len(p.samples) for p in seen if p.metrics] == [0, 4, 4]  # the last epoch always
    rows = read_metrics(tmp_path / "run")
    for epoch, row in enumerate(rows):
        losses = [p.loss for p in seen[epoch * STEPS : (epoch + 1) * STEPS]]
        assert row["train_loss"] == pytest.approx(sum(losses) / STEPS)


def test_a_mel_that_is_not_finite_stops_with_step_and_name(tmp_path):
    path = write_data(tmp_path)
    bad = int(step_schedule.order(tiny_config(), 0, 18)[2, 1])  # the second of the third step
    np.load(path, mmap_mode="r+")[bad, 0, 3, 4] = math.nan
    words = f"loss is not finite at step 3; mel-spectrograms from speaker/{bad:03d}.wav; "
    with pytest.raises(FloatingPointError, match=words + "no checkpoint yet"):
        fit(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callback=interrupt_at(2))
    before = {f.name: f.read_bytes() for f in (tmp_path / "run").iterdir() if f.is_file()}
    with pytest.raises(FloatingPointError, match=words + "the checkpoint of step 2 is intact"):
        fit(tmp_path)
    assert before == {f.name: f.read_bytes() for f in (tmp_path / "run").iterdir() if f.is_file()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": (8, 32)}, r"image_size is \(8, 32\); needed: \(8, 16\), that of tiny.npy"),
        ({"device": "mps"}, "device is 'mps', which this machine lacks; use auto or cpu"),
        ({"device": "cuda"}, "device is 'cuda', which this machine lacks; use auto or cpu"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_written(changes, words, tmp_path):
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ValueError, match=words):
        fit(tmp_path, **changes)
    assert not (tmp_path / "run").exists()


def test_validation_data_of_other_spectrogram_parameters_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    other = write_data(tmp_path / "other", params=replace(PARAMS, fmin=50.0))
    sets = SpectrogramSet(write_data(tmp_path)), SpectrogramSet(other, "validation")
    with pytest.raises(ValueError, match=r"fmin is 0.0 in the training data but 50.0 in the valid"):
        loop.train(tiny_config(), *sets, tmp_path / "run", NETWORK)


def test_another_device_may_be_chosen_in_the_same_process(monkeypatch):
    from accelerate.state import PartialState

    make_accelerator("cpu", Path("run"))
    monkeypatch.setitem(PartialState._shared_state, "device", torch.device("meta"))
    assert make_accelerator("cpu", Path("run")).device.type == "cpu"


def test_data_larger_than_memory_trains(tmp_path):
    """A file of 1 GB under a limit of 400 MB more than Python needs; it is sparse on the disk."""
    path, shape = tmp_path / "tiny.npy", (32_768, 1, 64, 256)
    np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape).flush()
    describe(path, shape, DEFAULT, [("a.wav", "train"), ("b.wav", "validation")])
    options = {"image_size": (64, 256), "num_samples": 0}

    def limited():
        fit(tmp_path, "first", max_minutes=1e-6, **options)
        status = Path("/proc/self/status").read_text()
        limit = (int(re.search(r"VmData:\s*(\d+)", status)[1]) << 10) + (400 << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        with pytest.raises(MemoryError):
            np.load(path)
        fit(tmp_path, callback=interrupt_at(3), **options)

    _, trouble = Child(limited).communicate(timeout=120)
    assert "stopped after step 3; checkpoint is saved" in trouble
