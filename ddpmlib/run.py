"""The folder of a training run: state, checkpoint, metrics; written whole, never unpickled."""

import contextlib
import csv
import io
import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

from ddpmlib.audio import save_wav
from ddpmlib.config import TrainConfig
from ddpmlib.ddpm import DDPM, WEIGHTS
from ddpmlib.spectrogram import image_to_audio, save_png
from ddpmlib.storage import atomic_write, bucket_path, make_folder, publish

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.csv"
COLUMNS = ("epoch", "step", "minutes", "train_loss", "validation_loss", "pictures_per_second")
SAMPLE_STEPS = 25  # of DPM-Solver++(2M), for the samples during training
# These shape the model or the course of its training; a resumed run must not change them.
FIXED = ("image_size", "noise_steps", "schedule", "target", "batch_size", "seed", "ema_decay")


@dataclass
class TrainState:
    """Everything that a resumed run needs: weights, their average, optimizer, counters."""

    model: DDPM
    config: TrainConfig
    data: str = ""  # fingerprint of what it is trained on
    step: int = 0
    epoch: int = 0  # whole ones
    batch: int = 0  # steps into the current epoch
    seconds: float = 0.0  # of training
    loss_sum: float = 0.0  # since the epoch began
    saved_step: int = 0
    optimizer: torch.optim.Optimizer = field(init=False)
    ema: AveragedModel = field(init=False)

    def __post_init__(self):
        weights, rate = self.model.network.parameters(), self.config.learning_rate
        self.optimizer = torch.optim.Adam(weights, lr=rate, fused=True)
        self.ema = AveragedModel(self.model.network, multi_avg_fn=_ema(self.config.ema_decay))

    def advance(self, loss: float, seconds: float) -> None:
        """Count one step."""
        self.step += 1
        self.batch += 1
        self.loss_sum += loss
        self.seconds = seconds

    def averaged(self) -> DDPM:
        """The model with averaged weights; training goes on beside it."""
        return replace(self.model, network=self.ema.module.eval())

    def metrics(self) -> dict:
        """This epoch's row of metrics.csv, without the validation loss; the speed is that of the
        whole run, sampling and validation included."""
        return {
            "epoch": self.epoch + 1,
            "step": self.step,
            "minutes": round(self.seconds / 60, 3),
            "train_loss": self.loss_sum / self.batch,
            "pictures_per_second": round(self.step * self.config.batch_size / self.seconds, 2),
        }

    def close_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0

    def save(self, folder: Path) -> None:
        """Write checkpoint and averaged weights; both appear whole or not at all."""
        content = {
            "network": self.model.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            "config": _plain(self.config.to_dict()),
            "params": self.model.params.to_dict(),
            "unet": _plain(self.model.network.config.to_dict()),
            "data": self.data,
        }
        # The checkpoint comes last: what it says is done lies beside it.
        self.averaged().save(folder / WEIGHTS, step=self.step, config=self.config.to_dict())
        buffer = io.BytesIO()  # torch itself does not say that a disk is full
        torch.save(content, buffer)
        with atomic_write(folder / CHECKPOINT) as temporary:
            temporary.write_bytes(buffer.getbuffer())
        self.saved_step = self.step

    def restore(self, folder: Path, resume: bool = True) -> None:
        """Go on from the folder's checkpoint; without one, nothing changes.

        Raises:
            FileExistsError: there is a checkpoint, but resume is False.
            ValueError: it is damaged, or made with other data or settings; names both values.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return
        if not resume:
            raise FileExistsError(
                f"{folder} holds a run; set resume to go on with it, or give another name"
            )
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            whole = content.keys() >= {"network", "ema", "optimizer", "counters", *_DESCRIPTION}
        except Exception:  # torch raises many kinds; its advice is to run what is in the file
            whole = False
        if not whole:
            raise ValueError(
                f"{path} is damaged or not a checkpoint of this project; delete it, or give "
                "another name, to start a new run"
            ) from None
        self._check(content, path)
        self.model.network.load_state_dict(content["network"])
        self.ema.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        for name in _COUNTERS:
            setattr(self, name, content["counters"][name])
        self.saved_step = self.step

    def _check(self, content: dict, path: Path) -> None:
        stored = type(self.model.params).from_dict(content["params"])
        stored.check_same(self.model.params, str(path), "the data")
        unet = _plain(self.model.network.config.to_dict())
        ours = _plain(self.config.to_dict()) | {"U-Net": unet, "data": self.data}
        theirs = content["config"] | {"U-Net": content["unet"], "data": content["data"]}
        for name in (*FIXED, "U-Net", "data"):
            if ours[name] != theirs.get(name):
                raise ValueError(
                    f"{name} is {ours[name]} but {theirs.get(name)} in {path}; give that, or "
                    "another name to start a new run"
                )


_COUNTERS = ("step", "epoch", "batch", "seconds", "loss_sum")
_DESCRIPTION = ("config", "params", "unet", "data")


def open_run(state: TrainState, folder: Path) -> None:
    """Create a run's folder and config.json; cut metrics.csv where the state goes on."""
    make_folder(folder)
    for name in (CHECKPOINT, WEIGHTS):  # a killed process leaves what it was writing
        for left_over in folder.glob(f".{name}.*"):
            left_over.unlink()
    _write_metrics(folder, [row for row in read_metrics(folder) if row["step"] <= state.step])
    description = state.config.to_dict() | {
        "params": state.model.params.to_dict(),
        "unet": state.model.network.config.to_dict(),
        "torch": torch.__version__,
    }
    with atomic_write(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(description, indent=1), "utf-8")
    publish_run(folder, state.config)


def publish_run(folder: Path, config: TrainConfig) -> None:
    """Bring the run's files to its result bucket, if it has one."""
    if config.result_bucket:
        publish(folder, bucket_path(config.result_bucket, config.name))


def append_metrics(folder: Path, row: dict) -> None:
    """Add one epoch to metrics.csv, in place of the row that max_minutes left in its middle."""
    rows = [earlier for earlier in read_metrics(folder) if earlier["epoch"] != row["epoch"]]
    _write_metrics(folder, [*rows, row])


def _write_metrics(folder: Path, rows: list[dict]) -> None:
    with atomic_write(folder / METRICS) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_metrics(folder: Path) -> list[dict]:
    """Rows of metrics.csv as numbers; an empty validation loss is None."""
    whole = ("epoch", "step")
    path = folder / METRICS
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [
            {k: (int(v) if k in whole else float(v)) if v else None for k, v in row.items()}
            for row in csv.DictReader(stream)
        ]


def write_samples(model: DDPM, config: TrainConfig, folder: Path, epoch: int) -> tuple[Path, ...]:
    """Write `folder/samples/epoch_NNNN_I.png` and `.wav`, from the same noise every time."""
    make_folder(folder / "samples")
    files = sample_files(config, folder, epoch)
    if files:
        steps = min(SAMPLE_STEPS, model.noise_steps)
        pictures = model.sample(config.num_samples, steps=steps, seed=config.seed)
        for picture, png, wav in zip(pictures, files[::2], files[1::2], strict=True):
            save_png(png, picture)
            save_wav(wav, image_to_audio(picture, model.params), model.params.sample_rate)
    return files


def sample_files(config: TrainConfig, folder: Path, epoch: int) -> tuple[Path, ...]:
    """Where the samples of an epoch lie: PNG, wav, PNG, wav ..."""
    stems = [f"epoch_{epoch:04d}_{i}" for i in range(config.num_samples)]
    return tuple(folder / "samples" / f"{stem}{end}" for stem in stems for end in (".png", ".wav"))


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[list]:
    """Let Ctrl-C wait for the end of a step: the list is no longer empty once it was pressed.

    A second Ctrl-C interrupts at once. Outside the main thread, signals are left alone.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def handle(number, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def _ema(decay: float):
    """Exponential average whose decay grows as (1 + n) / (10 + n) up to `decay`."""

    def update(averaged, current, count):
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update


def _plain(values: dict) -> dict:
    """As JSON would bring it back: lists for tuples."""
    return json.loads(json.dumps(values))
