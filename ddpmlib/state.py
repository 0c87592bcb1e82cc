"""What a training is at a step: weights, optimizer, average, counters; written whole, never
unpickled."""

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.ddpm import DDPM, WEIGHTS
from ddpmlib.storage import LAST, atomic_write
from ddpmlib.unet import UNetConfig

CHECKPOINT = LAST  # of the files of a run, on the way into a bucket and out of it
# These shape the model or the course of its training; a resumed run must not change them.
FIXED = ("image_size", "noise_steps", "schedule", "target", "batch_size", "seed", "ema_decay")
FIXED += ("init_from", "condition", "condition_dropout")
_COUNTERS = ("step", "epoch", "batch", "seconds", "loss_sum")
_DESCRIPTION = ("config", "params", "unet", "data")


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

    def load(self, content: dict) -> None:
        """Go on from what `read_checkpoint` read and `check` found to fit."""
        self.model.network.load_state_dict(content["network"])
        self.ema.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        for name in _COUNTERS:
            setattr(self, name, content["counters"][name])
        self.saved_step = self.step

    def check(self, content: dict, path: str | Path) -> None:
        """Refuse what was made with other data or settings.

        Raises:
            ValueError: names both values, and the path it came from.
        """
        stored = type(self.model.params).from_dict(content["params"])
        stored.check_same(self.model.params, str(path), "the data")
        # Checkpoints from before a setting existed had its default.
        known = _plain(UNetConfig().to_dict())
        unet = known | _plain(self.model.network.config.to_dict())
        ours = _plain(self.config.to_dict()) | {"U-Net": unet, "data": self.data}
        theirs = _plain(TrainConfig().to_dict()) | content["config"]
        theirs |= {"U-Net": known | content["unet"], "data": content["data"]}
        for name in (*FIXED, "U-Net", "data"):
            if ours[name] != theirs.get(name):
                raise ValueError(
                    f"{name} is {ours[name]} but {theirs.get(name)} in {path}; give that, or "
                    "another name to start a new run"
                )


def first_model(
    config: TrainConfig,
    data: SpectrogramSet,
    network: UNetConfig | None,
    device: torch.device,
) -> DDPM:
    """The model that a training begins with: random weights, or those of `config.init_from`.

    Its network can be told what the data know of their pictures. Weights that cannot are taken too:
    what is new has no effect at first. Weights that can be told anything else are not.

    Raises:
        FileNotFoundError: no weights there.
        ValueError: their grid, condition, network, schedule or target is another; names both
            values.
    """
    kind = {name: getattr(config, name) for name in ("schedule", "noise_steps", "target")}
    if not config.init_from:
        torch.manual_seed(config.seed)
        unet = (network or UNetConfig()).told(data.kind).build()
    else:
        first = DDPM.load(config.init_from)
        first.params.check_same(data.params, config.init_from, "the data")
        if first.kind not in (None, data.kind):
            raise ValueError(
                f"condition is {config.condition!r}, {data.kind}, but {config.init_from} was told "
                f"{first.kind}; needed: the same, or weights that were told nothing"
            )
        theirs = first.network.config.told(data.kind)
        wanted = kind | {"network": (network or theirs).told(data.kind)}
        for name, value in wanted.items():
            have = theirs if name == "network" else getattr(first, name)
            if value != have:
                raise ValueError(f"{name} is {value} but {have} in {config.init_from}; give that")
        torch.manual_seed(config.seed)
        unet = theirs.build().train()
        unet.load_state_dict(first.network.state_dict(), strict=first.kind == data.kind)
    unet = unet.to(device, memory_format=torch.channels_last)
    return DDPM(unet, data.params, **kind, precision=config.precision)


def read_checkpoint(path: Path, name: str = "") -> dict:
    """What `TrainState.save` wrote.

    Args:
        name: what people call it, where that is not the path.

    Raises:
        ValueError: it is damaged, or something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        whole = content.keys() >= {"network", "ema", "optimizer", "counters", *_DESCRIPTION}
    except Exception:  # torch raises many kinds; its advice is to run what is in the file
        whole = False
    if not whole:
        raise ValueError(
            f"{name or path} is damaged or not a checkpoint of this project; delete it, or give "
            "another name, to start a new run"
        )
    return content


def _ema(decay: float):
    """Exponential average whose decay grows as (1 + n) / (10 + n) up to `decay`."""

    def update(averaged, current, count):
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update


def _plain(values: dict) -> dict:
    """As JSON would bring it back: lists for tuples."""
    return json.loads(json.dumps(values))
