"""Training: one loop for laptop and GPUs, resumable at any step, honest about trouble.

`python -m ddpmlib.training --help`, or `accelerate launch -m ddpmlib.training` on several devices
and machines, trains without a notebook.

What a step does follows from `course` alone, so a resumed run equals an uninterrupted one: to the
bit on a processor in float32 with as many threads. With max_minutes the learning rate follows the
clock, and no two runs are the same.
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ddpmlib import course, diffusion
from ddpmlib.config import Progress, TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM
from ddpmlib.devices import autocast
from ddpmlib.processes import broadcast, check_processes, make_accelerator
from ddpmlib.run import (
    append_metrics,
    deferred_interrupt,
    keep_guide,
    last_checkpoint,
    open_run,
    places,
    publish_run,
    sample_files,
    write_samples,
)
from ddpmlib.state import TrainState, first_model
from ddpmlib.unet import UNetConfig


def train(
    config: TrainConfig,
    data: SpectrogramSet,
    validation: SpectrogramSet,
    run_folder: str | Path,
    network: UNetConfig | None = None,
    resume: bool = True,
    callback: Callable[[Progress], None] | None = None,
) -> DDPM:
    """Train a DDPM; returns it with the averaged weights, as saved in `run_folder`.

    Leaves there model.safetensors (averaged weights), guide.safetensors (the same of the young
    run), config.json, checkpoint.pt, metrics.csv and samples/. Ctrl-C (or SIGTERM) finishes the
    step and writes a checkpoint; the next call goes on from it. With a result_bucket, or a
    run_folder gs://bucket/name, all of that is mirrored there at the start, every
    checkpoint_minutes and at the end, and a run begun elsewhere goes on here.

    Args:
        data, validation: the two splits; an empty validation split leaves its loss empty.
        network: by default that of `config.init_from`, or a plain UNetConfig.
        resume: go on from the folder's checkpoint if it has one; False refuses a used folder.
        callback: called on the main process after every step.

    Raises:
        ValueError: image_size, batch_size, device or checkpoint do not fit; names both values.
        FileExistsError: resume is False and the folder holds a run.
        BucketError: the bucket refuses, or is not reached at the start or the end of the run.
        FloatingPointError: the loss is not finite; names step and recordings. The last good
            checkpoint stays as it was.
        KeyboardInterrupt: after Ctrl-C.
    """
    loop = _Loop(config, data, validation, run_folder, network, callback)
    if loop.accelerator.num_processes > 1:
        _KEPT.append(loop)
    loop.open(resume)
    return loop.run()


# What processes share stays until they end: torch (2.13, Gloo) takes it down holding the lock of
# the interpreter, and waits for threads that may need this lock to let go of their last message.
_KEPT: list["_Loop"] = []


class _Loop:
    """One training: what stays the same from step to step, and the state that does not."""

    def __init__(self, config, data, validation, run_folder, network, callback):
        config.check_data(data, validation)
        self.config, self.data, self.validation = config, data, validation
        self.run_folder, self.mirror = places(run_folder, config)
        self.callback = callback
        self.accelerator = make_accelerator(config, self.run_folder)
        check_processes(config, self.accelerator.num_processes)
        self.device = self.accelerator.device
        model = first_model(config, data, network, self.device)
        self.state = TrainState(model, config, data.fingerprint)
        self.steps_per_epoch = len(data) // config.batch_size

    def open(self, resume: bool) -> None:
        """Go on from the last checkpoint; only the main process looks at disks and buckets."""
        accelerator, place = self.accelerator, (self.run_folder, self.mirror)
        main = accelerator.is_main_process
        content = last_checkpoint(self.state, *place, resume) if main else None
        if content := broadcast(accelerator, content):
            self.state.load(content)
        if main:
            open_run(self.state, *place)
        self.published = self.state.seconds

    def run(self) -> DDPM:
        """Train until epochs or minutes are used up."""
        state, accelerator = self.state, self.accelerator
        self.finish_samples()
        if self.share() == 1:
            self.publish(can_wait=False)
            return state.averaged()
        self.network, self.optimizer = accelerator.prepare(state.model.network, state.optimizer)
        accelerator.init_trackers("tensorboard")
        self.started = time.monotonic() - state.seconds
        self.saved = state.seconds
        try:
            with deferred_interrupt() as pressed:
                while self.share() < 1:
                    self.epoch(pressed)
            self.publish(can_wait=False)
        finally:
            accelerator.end_training()
        return state.averaged()

    def epoch(self, pressed: list) -> None:
        """Train to the end of the epoch or of the minutes, or to the step where Ctrl-C came."""
        state = self.state
        for x_0, indices in self.batches():
            loss = self.step(x_0, indices)
            state.advance(loss, self.elapsed())
            ended = state.batch == self.steps_per_epoch or self.share() == 1
            self.report(loss, **self.end_epoch() if ended else {})
            # Asked once, after the callback: what is said to be saved has been saved.
            interrupted = self.total(len(pressed)) > 0
            upload = interrupted or self.is_due(self.published)
            if upload or self.is_due(self.saved):
                self.save()
            if upload:
                self.publish(can_wait=True)
            if interrupted:
                raise KeyboardInterrupt(f"stopped after step {state.step}; state is saved")
            if ended:
                return

    def step(self, x_0: torch.Tensor, indices: list[int]) -> float:
        """One step of the optimizer; returns the mean loss over all processes."""
        config, accelerator = self.config, self.accelerator
        x_0 = x_0.to(self.device, non_blocking=True)
        t = course.times(config, self.state.step)[self.mine]
        noise = course.noise(config, self.state.step, self.device)[self.mine]
        said = course.said(config, self.state.step, self.data, indices, self.mine)
        model = partial(self.predict, condition=None if said is None else said.to(self.device))
        alpha_bar = self.state.model.alpha_bar
        losses = diffusion.training_loss(model, x_0, t, noise, alpha_bar, config.target)
        accelerator.backward(losses.mean())
        norm = accelerator.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        loss = accelerator.reduce(losses.detach().mean(), "mean").item()
        if not math.isfinite(loss + float(norm)):
            raise FloatingPointError(self.trouble(losses, indices))
        for group in self.optimizer.param_groups:
            group["lr"] = course.learning_rate(config, self.state.step, self.share())
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.ema.update_parameters(self.state.model.network)
        return loss

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, condition) -> torch.Tensor:
        with autocast(self.device, self.config.precision):
            return self.network(x_t, t) if condition is None else self.network(x_t, t, condition)

    def batches(self) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """What is left of this epoch: pictures of this process, and their indices."""
        order = course.order(self.config, self.state.epoch, len(self.data))
        chosen = order[self.state.batch :, self.mine].tolist()
        # Rows of a memory map come at once; worker processes would only cost their start.
        loader = DataLoader(self.data, batch_sampler=chosen, pin_memory=self.device.type == "cuda")
        return zip(loader, chosen, strict=True)

    @property
    def mine(self) -> slice:
        """Every num_processes-th picture of a batch, and the times and noise that go with them."""
        return slice(self.accelerator.process_index, None, self.accelerator.num_processes)

    def end_epoch(self) -> dict:
        """Validate, save, sample; returns what `Progress` says about it."""
        state, finished = self.state, self.share() == 1
        metrics = state.metrics()
        if state.batch == self.steps_per_epoch:  # not where the minutes ended inside an epoch
            state.close_epoch()
        if not self.accelerator.is_main_process:
            return {}
        averaged = state.averaged()
        metrics["validation_loss"] = averaged.loss_on(self.validation, self.config.batch_size)
        append_metrics(self.run_folder, metrics)
        self.accelerator.log(metrics, step=state.step)
        self.save()
        keep_guide(averaged, self.run_folder, self.share())
        samples = ()
        if finished or metrics["epoch"] % self.config.sample_every == 0:
            samples = self.write_samples(averaged, metrics["epoch"])
        return {"metrics": metrics, "samples": samples}

    def finish_samples(self) -> None:
        """Make the samples that a run lacks because it was killed while it made them."""
        state, finished = self.state, self.share() == 1
        epoch = state.epoch + (state.batch > 0)
        due = finished or (state.batch == 0 < epoch and epoch % self.config.sample_every == 0)
        files = sample_files(self.config, self.run_folder, epoch)
        if due and self.accelerator.is_main_process and not all(f.exists() for f in files):
            self.write_samples(state.averaged(), epoch)

    def write_samples(self, model: DDPM, epoch: int) -> tuple[Path, ...]:
        return write_samples(model, self.config, self.run_folder, epoch, self.validation)

    def save(self) -> None:
        self.saved = self.state.seconds
        if self.accelerator.is_main_process:
            self.state.save(self.run_folder)

    def publish(self, can_wait: bool) -> None:
        self.published = self.state.seconds
        if self.accelerator.is_main_process:
            publish_run(self.run_folder, self.mirror, can_wait)

    def is_due(self, last: float) -> bool:
        return self.state.seconds - last > 60 * self.config.checkpoint_minutes

    def report(self, loss: float, **outcome) -> None:
        if self.callback and self.accelerator.is_main_process:
            state = self.state
            epoch = outcome["metrics"]["epoch"] if outcome else state.epoch + 1
            args = (self.config, epoch, state.step, self.share(), state.seconds / 60, loss)
            done = 1.0 if outcome else state.batch / self.steps_per_epoch
            self.callback(Progress(*args, **outcome, epoch_share=done))

    def elapsed(self) -> float:
        """Seconds of training by the main process' clock."""
        main = self.accelerator.is_main_process
        return self.total(time.monotonic() - self.started if main else 0.0)

    def total(self, value: float) -> float:
        """Sum over all processes, so that all save and stop at the same step."""
        if self.accelerator.num_processes == 1:
            return value
        value = torch.tensor(value, dtype=torch.float64, device=self.device)
        return self.accelerator.reduce(value, "sum").item()

    def share(self) -> float:
        """How much of the run is done, 0...1: by epochs or by minutes, whichever ends first."""
        state, limit = self.state, self.config.max_minutes
        by_epochs = (state.epoch + state.batch / self.steps_per_epoch) / self.config.epochs
        return min(1.0, max(by_epochs, state.seconds / 60 / limit if limit else 0))

    def trouble(self, losses: torch.Tensor, indices: list[int]) -> str:
        pairs = zip(indices, losses.tolist(), strict=True)
        bad = [index for index, loss in pairs if not math.isfinite(loss)]
        files = ", ".join(sorted({self.data.source(i) for i in bad or indices}))
        kept = self.state.saved_step
        last = f"checkpoint of step {kept} is kept" if kept else "no checkpoint was written yet"
        step = self.state.step + 1
        return f"loss is not finite at step {step}; pictures from {files}; {last}"


if __name__ == "__main__":
    from ddpmlib.processes import main

    main()
