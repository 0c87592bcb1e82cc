"""Training: one loop for laptop and GPUs, resumable at any step, honest about trouble.

Every random draw of a step follows from (seed, step) alone. So a resumed run equals an
uninterrupted one, and neither sampling nor validation nor the number of processes changes it.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ddpmlib import diffusion
from ddpmlib.config import Progress, TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM, autocast
from ddpmlib.run import (
    TrainState,
    append_metrics,
    deferred_interrupt,
    open_run,
    publish_run,
    write_samples,
)
from ddpmlib.unet import UNet, UNetConfig


def train(
    config: TrainConfig,
    data: SpectrogramSet,
    validation: SpectrogramSet,
    run_folder: Path,
    network: UNetConfig | None = None,
    resume: bool = True,
    callback: Callable[[Progress], None] | None = None,
) -> DDPM:
    """Train a DDPM; returns it with the averaged weights, as saved in `run_folder`.

    Leaves there model.safetensors (averaged weights), config.json, checkpoint.pt, metrics.csv and
    samples/. Ctrl-C finishes the step and writes a checkpoint; the next call goes on from it.

    Args:
        data, validation: the two splits; an empty validation split leaves its loss empty.
        resume: go on from the folder's checkpoint if it has one; False refuses a used folder.
        callback: called on the main process after every step.

    Raises:
        ValueError: image_size, batch_size, device or checkpoint do not fit; names both values.
        FileExistsError: resume is False and the folder holds a run.
        FloatingPointError: the loss is not finite; names step and recordings. The last good
            checkpoint stays as it was.
        KeyboardInterrupt: after Ctrl-C.
    """
    loop = _Loop(config, data, validation, run_folder, network, callback)
    loop.state.restore(loop.run_folder, resume)
    if loop.accelerator.is_main_process:
        open_run(loop.state, loop.run_folder)
    loop.accelerator.wait_for_everyone()
    return loop.run()


class _Loop:
    """One training: what stays the same from step to step, and the state that does not."""

    def __init__(self, config, data, validation, run_folder, network, callback):
        _check_fit(config, data)
        self.config, self.data, self.validation = config, data, validation
        self.run_folder, self.callback = Path(run_folder), callback
        self.accelerator = _accelerator(config, self.run_folder)
        _check_processes(config, self.accelerator.num_processes)
        self.device = self.accelerator.device
        torch.manual_seed(config.seed)  # of the first weights
        unet = UNet(network).to(self.device, memory_format=torch.channels_last)
        model = DDPM(unet, data.params, config.schedule, config.noise_steps, config.target)
        self.state = TrainState(model, config)
        self.steps_per_epoch = len(data) // config.batch_size

    def run(self) -> DDPM:
        """Train until epochs or minutes are used up."""
        state, accelerator = self.state, self.accelerator
        self.network, self.optimizer = accelerator.prepare(state.model.network, state.optimizer)
        accelerator.init_trackers("tensorboard")
        self.started = time.monotonic() - state.seconds
        self.saved = state.seconds
        with deferred_interrupt() as interrupted:
            while self.share() < 1:
                for x_0, indices in self.batches():
                    loss = self.step(x_0, indices)
                    state.advance(loss, self.elapsed())
                    ended = state.batch == self.steps_per_epoch or self.share() == 1
                    outcome = self.end_epoch() if ended else {}
                    if interrupted or self.is_save_due():
                        self.save()
                    self.report(loss, **outcome)
                    if interrupted:
                        raise KeyboardInterrupt(f"stopped after step {state.step}; state is saved")
                    if ended:
                        break
        accelerator.end_training()
        return state.averaged()

    def step(self, x_0: torch.Tensor, indices: list[int]) -> float:
        """One step of the optimizer; returns the mean loss over all processes."""
        config, accelerator = self.config, self.accelerator
        x_0 = x_0.to(self.device, non_blocking=True)
        t, noise = self.draw(x_0.shape)
        alpha_bar = self.state.model.alpha_bar
        losses = diffusion.training_loss(self.predict, x_0, t, noise, alpha_bar, config.target)
        accelerator.backward(losses.mean())
        norm = accelerator.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        loss = accelerator.reduce(losses.detach().mean(), "mean").item()
        if not math.isfinite(loss + float(norm)):
            raise FloatingPointError(self.trouble(losses, indices))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.state.step, self.share())
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.ema.update_parameters(self.state.model.network)
        return loss

    def predict(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with autocast(self.device, self.config.precision):
            return self.network(x_t, t)

    def draw(self, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """Times and noise of this step, for this process' part of the batch.

        Times are evenly spread over the batch with one random offset, which makes the loss less
        noisy (Kingma et al. 2021, "Variational Diffusion Models", appendix I.1).
        """
        batch = self.config.batch_size
        seed = (self.config.seed << 32) + self.state.step
        offset = torch.rand(1, generator=torch.Generator().manual_seed(seed))
        t = (offset + torch.arange(batch) / batch) % 1 * self.config.noise_steps
        generator = torch.Generator(self.device).manual_seed(seed)
        noise = torch.randn((batch, *shape[1:]), generator=generator, device=self.device)
        return t.long()[self.mine], noise[self.mine]

    def batches(self) -> Iterator[tuple[torch.Tensor, list[int]]]:
        """What is left of this epoch: pictures of this process, and their indices."""
        seed = (self.config.seed << 32) + self.state.epoch
        order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(seed))
        whole = order[: self.steps_per_epoch * self.config.batch_size]
        chosen = whole.view(self.steps_per_epoch, -1)[self.state.batch :, self.mine].tolist()
        on_gpu = self.device.type == "cuda"
        loader = DataLoader(
            self.data, batch_sampler=chosen, num_workers=2 * on_gpu, pin_memory=on_gpu
        )
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
        due = metrics["epoch"] % self.config.sample_every == 0
        samples = ()
        if due or finished:
            samples = write_samples(averaged, self.config, self.run_folder, metrics["epoch"])
        publish_run(self.run_folder, self.config)
        return {"metrics": metrics, "samples": samples}

    def save(self) -> None:
        self.saved = self.state.seconds
        if self.accelerator.is_main_process:
            self.state.save(self.run_folder)

    def is_save_due(self) -> bool:
        return self.state.seconds - self.saved > 60 * self.config.checkpoint_minutes

    def report(self, loss: float, **outcome) -> None:
        if self.callback and self.accelerator.is_main_process:
            state = self.state
            epoch = outcome["metrics"]["epoch"] if outcome else state.epoch + 1
            args = (self.config, epoch, state.step, self.share(), state.seconds / 60, loss)
            self.callback(Progress(*args, **outcome))

    def elapsed(self) -> float:
        """Seconds of training, the same on every process, so that all stop at one step."""
        seconds = torch.tensor(time.monotonic() - self.started, dtype=torch.float32)
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast

            seconds = broadcast(seconds.to(self.device))
        return seconds.item()

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


def learning_rate(config: TrainConfig, step: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to a twentieth at the end of the run."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)


def _check_fit(config: TrainConfig, data: SpectrogramSet) -> None:
    if config.image_size != data.params.image_size:
        raise ValueError(
            f"image_size is {config.image_size} but {data.path.name} holds pictures of "
            f"{data.params.image_size}"
        )
    if len(data) < config.batch_size:
        raise ValueError(
            f"batch_size is {config.batch_size} but {data.path.name} has {len(data)} training "
            f"pictures; needed: a batch_size of at most {len(data)}"
        )


def _check_processes(config: TrainConfig, processes: int) -> None:
    if config.batch_size % processes:
        raise ValueError(
            f"batch_size is {config.batch_size}; it must be a multiple of the {processes} processes"
        )


def _accelerator(config: TrainConfig, run_folder: Path):
    from accelerate import Accelerator

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(config.device, True):
        raise ValueError(f"device is {config.device!r}, which this machine lacks; use auto or cpu")
    tracker = "tensorboard" if importlib.util.find_spec("tensorboard") else None
    # Precision is ours (ddpm.autocast): sampling and validation need the same, outside of it.
    return Accelerator(
        cpu=config.device == "cpu", mixed_precision="no", log_with=tracker, project_dir=run_folder
    )
