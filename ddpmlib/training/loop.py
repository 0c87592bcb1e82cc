"""The training loop, for laptop and GPUs, resumable at any step.

A step depends on its number and the configuration alone (`step_schedule`), so a resumed run equals
an uninterrupted one: to the bit on a processor in float32 with as many threads. With max_minutes
the learning rate follows the clock, and no two runs are the same.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion import process
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.distillation.teacher import teacher_of
from ddpmlib.models import devices
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.models.condition_rows import drop_conditions
from ddpmlib.models.encoders import known_frames, mean_mel_loss
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.lock import locked
from ddpmlib.training import interrupts, run_directory, step_schedule
from ddpmlib.training.checkpoint import TrainState, first_model
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.progress import Progress, progress_of


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

    Writes there model.safetensors, guide.safetensors (the same of the young run), config.json,
    checkpoint.pt, metrics.csv and samples/. Ctrl-C (or SIGTERM) finishes the step and writes a
    checkpoint; the next call resumes from it. With a result_bucket, or a run_folder
    gs://bucket/name, all of that is mirrored there at the start, every checkpoint_minutes and at
    the end, and a run begun elsewhere is resumed here. A finished run is made longer by more
    epochs or minutes: it goes on from where its learning rate began to fall (before_decay.pt),
    and ends as one run of that length does.

    Args:
        data, validation: the two splits; an empty validation split leaves its loss empty.
        network: by default that of `config.init_from`, or a plain UNetConfig.
        resume: from the folder's checkpoint if it has one; False refuses a used folder.
        callback: called on the main process after every step.

    Raises:
        ValueError: image_size, batch_size, device or checkpoint do not fit; names both values.
        FileExistsError: resume is False and the folder holds a run; another process trains in it.
        BucketError: the bucket refuses, or is not reached at the start or the end of the run.
        FloatingPointError: the loss is not finite; names step and recordings.
        KeyboardInterrupt: after Ctrl-C.
    """
    loop = _Loop(config, data, validation, run_folder, network, callback)
    with contextlib.ExitStack() as stack:
        stack.enter_context(interrupts.outliving_the_server())
        stack.enter_context(devices.missing_the_others(loop.accelerator))
        loop.on_main(stack.enter_context, locked(*loop.locations))
        return loop.run(resume)


# What processes share must live until they end: torch (2.13, Gloo) takes it down holding the lock
# of the interpreter, and waits for threads that may need this lock to let go of their last message.
_ALIVE: list["_Loop"] = []


class _Loop:
    """One training: what stays the same from step to step, and the state that does not."""

    def __init__(self, config, data, validation, run_folder, network, callback):
        config.check_data(data, validation)
        self.config, self.data, self.validation = config, data, validation
        self.locations = run_directory.run_locations(run_folder, config)
        self.folder, self.callback = self.locations[0], callback
        self.accelerator = devices.make_accelerator(config.device, self.folder)
        if self.accelerator.num_processes > 1:
            _ALIVE.append(self)
        self.is_main, self.device = self.accelerator.is_main_process, self.accelerator.device
        devices.check_processes(config.batch_size, self.accelerator.num_processes)
        model, self.teacher = first_model(config, data, network, self.device), None
        if config.student_steps:
            self.teacher = teacher_of(config.init_from, config.student_steps, model)
            model = self.teacher.student(model.network)
        self.state = TrainState(model, config, data.fingerprint, data.recordings, len(data))
        self.has_phones = isinstance(data.condition_spec, PhoneCondition)
        # Every num_processes-th item of a batch, and the times and noise that go with them.
        self.mine = slice(self.accelerator.process_index, None, self.accelerator.num_processes)

    def open(self, resume: bool) -> None:
        """Load the last checkpoint; only the main process uses disks and buckets."""
        content = self.on_main(run_directory.last_checkpoint, self.state, *self.locations, resume)
        if content := devices.broadcast(self.accelerator, content):
            self.state.load(content)
            self.config = self.state.config  # perhaps with earlier defaults
        else:
            self.state.fit_durations(self.data)
        self.on_main(run_directory.open_run, self.state, *self.locations)
        self.on_main(run_directory.keep_weights, self.state, self.validation, self.folder)
        self.saved = self.published = self.state.seconds

    def run(self, resume: bool) -> DDPM:
        """Train until epochs or minutes are used up."""
        state, accelerator = self.state, self.accelerator
        self.open(resume)
        self.on_main(self.finish_samples)
        if self.state.share() == 1:
            self.publish(can_wait=False)
            return state.averaged()
        self.network, self.optimizer = accelerator.prepare(state.model.network, state.optimizer)
        accelerator.init_trackers("tensorboard")
        self.started = time.monotonic() - state.seconds
        try:
            with interrupts.deferred_interrupt() as pressed:
                while self.state.share() < 1:
                    self.epoch(pressed)
            self.publish(can_wait=False)
        finally:
            accelerator.end_training()
        return state.averaged()

    def epoch(self, pressed: list) -> None:
        """Train to the end of the epoch or of the minutes, or to the step where Ctrl-C came."""
        state = self.state
        for x_0, indices, number in self.batches():
            before, loss = state.share(), self.step(x_0, indices, number)
            state.advance(loss, self.elapsed())
            ended = state.batch == state.steps_per_epoch or state.share() == 1
            self.report(loss, *self.end_epoch() if ended else ())
            if before < step_schedule.DECAY_FROM <= state.share():
                self.on_main(run_directory.keep_before_decay, state, self.folder)
            # Checked once, after the callback: what the message calls saved has been saved.
            interrupted = devices.total(self.accelerator, len(pressed)) > 0
            limit = 60 * self.config.checkpoint_minutes
            upload = interrupted or state.seconds - self.published > limit
            if upload or state.seconds - self.saved > limit:
                self.save()
            if upload:
                self.publish(can_wait=True)
            if interrupted:
                raise KeyboardInterrupt(f"stopped after step {state.step}; checkpoint is saved")
            if ended:
                return

    def step(self, x_0: torch.Tensor, indices: list[int], number: int) -> float:
        """One step of the optimizer, on the batch of a number; returns the mean loss of it all."""
        config, accelerator, state = self.config, self.accelerator, self.state
        condition, mean_loss = self.conditions(indices, number), 0.0
        x_0 = x_0.to(self.device, non_blocking=True)
        noise = step_schedule.noise(config, number, self.device)[self.mine]

        def model(*inputs: torch.Tensor) -> torch.Tensor:
            nonlocal mean_loss
            with devices.autocast(self.device, config.precision):
                if not self.has_phones:
                    return self.network(*inputs, *condition)
                output, mean = self.network(*inputs, *condition, with_mean=True)
            frames = accelerator.reduce(known_frames(*condition), "mean")
            mean_loss = mean_mel_loss(mean, x_0, *condition, frames)
            return output

        if self.teacher:
            losses = self.teacher.losses(model, noise, *condition, lesson=number)
        else:
            t = step_schedule.times(config, number)[self.mine]
            how = state.model.alpha_bar, config.prediction_type
            losses = process.training_loss(model, x_0, t, noise, *how)
        accelerator.backward(losses.mean() + mean_loss)
        norm = accelerator.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        loss = accelerator.reduce(losses.detach().mean(), "mean").item()
        if not math.isfinite(loss + float(norm)):
            raise FloatingPointError(state.trouble(self.data, losses, indices))
        for group in self.optimizer.param_groups:
            group["lr"] = step_schedule.learning_rate(config, state.step, state.share())
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.ema.update_parameters(state.model.network)
        return loss

    def conditions(self, indices: list[int], number: int) -> tuple[torch.Tensor, ...]:
        """Third argument of a conditional network, some of it replaced by the null condition."""
        if (condition := self.data.conditions(indices)) is None:
            return ()
        dropped = step_schedule.dropped(self.config, number)[self.mine]
        return (drop_conditions(self.data.condition_spec, condition, dropped).to(self.device),)

    def batches(self) -> Iterator[tuple[torch.Tensor, list[int], int]]:
        """The rest of this epoch: mel-spectrograms of this process, their indices, a number."""
        left = self.state.batches_left()
        chosen = [indices[self.mine].tolist() for _, indices in left]
        # Rows of a memory map come at once; worker processes would only cost their start.
        loader = DataLoader(self.data, batch_sampler=chosen, pin_memory=self.device.type == "cuda")
        return zip(loader, chosen, (number for number, _ in left), strict=True)

    def end_epoch(self) -> tuple[dict | None, tuple[Path, ...]]:
        """Validate, save, sample; returns the row of metrics.csv and files of samples."""
        state, share = self.state, self.state.share()
        metrics = state.metrics()
        if state.batch == state.steps_per_epoch:  # not where the minutes ended inside an epoch
            state.close_epoch()
        self.saved = state.seconds
        return self.on_main(self.close_epoch, metrics, share) or (None, ())

    def close_epoch(self, metrics: dict, share: float) -> tuple[dict, tuple[Path, ...]]:
        averaged, epoch = self.state.averaged(), metrics["epoch"]
        losses = self.teacher.losses if self.teacher else None
        loss = averaged.loss_on(self.validation, self.config.batch_size, losses)
        metrics["validation_loss"] = loss
        run_directory.append_metrics(self.folder, metrics)
        self.accelerator.log(metrics, step=self.state.step)
        if share == 1 or (loss is not None and loss < self.state.loss_to_beat):
            self.state.loss_to_beat = math.inf
        self.state.save(self.folder)
        run_directory.keep_guiding_model(averaged, self.folder, share)
        if share == 1 or epoch % self.config.sample_every == 0:
            return metrics, self.write_samples(epoch)
        return metrics, ()

    def finish_samples(self) -> None:
        """Make the samples that a run lacks because it was killed while it made them."""
        state, every = self.state, self.config.sample_every
        epoch = state.epoch + (state.batch > 0)
        due = self.state.share() == 1 or (state.batch == 0 < epoch and epoch % every == 0)
        files = run_directory.sample_files(self.config, self.folder, epoch)
        if due and not all(file.exists() for file in files):
            self.write_samples(epoch)

    def write_samples(self, epoch: int) -> tuple[Path, ...]:
        model, where = self.state.averaged(), (self.folder, epoch)
        return run_directory.write_samples(model, self.config, *where, self.validation)

    def save(self) -> None:
        self.saved = self.state.seconds
        self.on_main(self.state.save, self.folder)

    def publish(self, can_wait: bool) -> None:
        self.published = self.state.seconds
        self.on_main(run_directory.publish_run, *self.locations, can_wait)

    def on_main(self, work: Callable, *args):
        return devices.on_main(self.accelerator, work, *args)

    def report(self, loss: float, metrics: dict | None = None, samples: tuple = ()) -> None:
        if self.callback and self.is_main:
            self.callback(progress_of(self.state, loss, metrics, samples))

    def elapsed(self) -> float:
        """Seconds of training by the main process' clock."""
        seconds = time.monotonic() - self.started if self.is_main else 0.0
        return devices.total(self.accelerator, seconds)
