"""Checkpoints: all that a resumed run needs, written whole, never unpickled."""

import copy
import io
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

from ddpmlib.data.dataset import SpectrogramSet, changes
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.models.ema import ema_of
from ddpmlib.models.muon import optimizer_of
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import LAST
from ddpmlib.storage.weights import check_finite
from ddpmlib.training import step_schedule
from ddpmlib.training.config import TrainConfig, fixed_settings, plain

CHECKPOINT = LAST  # of the files of a run, on the way into a bucket and out of it
_COUNTERS = ("step", "epoch", "batch", "seconds", "loss_sum")
_PARTS = {"network", "ema", "optimizer", "counters", "config", "params", "unet", "data"}


@dataclass
class TrainState:
    """State of a training between two steps: weights, their average, optimizer, counters."""

    model: DDPM
    config: TrainConfig
    data: str = ""  # fingerprint of the training data
    recordings: dict = field(default_factory=dict)  # see `SpectrogramSet.recordings`
    num_mels: int = 1  # of the training data
    step: int = 0
    epoch: int = 0  # whole ones
    batch: int = 0  # steps into the current epoch
    seconds: float = 0.0  # of training
    loss_sum: float = 0.0  # since the epoch began
    saved_step: int = 0
    # Of weights that stay until better ones are there: those of a run that was made longer.
    loss_to_beat: float = math.inf
    optimizer: torch.optim.Optimizer = field(init=False)
    ema: AveragedModel = field(init=False)

    def __post_init__(self):
        self._set_optimizer()
        self.ema = ema_of(self.model.network, self.config.ema_decay)

    def _set_optimizer(self) -> None:
        how = self.config.optimizer, self.config.learning_rate
        self.optimizer = optimizer_of(self.model.network, *how)

    @property
    def steps_per_epoch(self) -> int:
        """Of the configuration, on this data."""
        return step_schedule.epoch_steps(self.config, self.num_mels)

    def batches_left(self) -> list[tuple[int, torch.Tensor]]:
        """Of this epoch; see `step_schedule.batches`."""
        return step_schedule.batches(self.config, self.epoch, self.num_mels)[self.batch :]

    def advance(self, loss: float, seconds: float) -> None:
        """Count one step."""
        self.step += 1
        self.batch += 1
        self.loss_sum += loss
        self.seconds = seconds

    def close_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0

    def share(self) -> float:
        """How much of the run is done, 0...1."""
        epochs = self.epoch + self.batch / self.steps_per_epoch
        return step_schedule.done(self.config, epochs, self.seconds)

    def averaged(self) -> DDPM:
        """The model with averaged weights, which the next step changes."""
        return replace(self.model, network=self.ema.module.eval())

    def metrics(self) -> dict:
        """This epoch's row of metrics.csv, without the validation loss; the speed is that of the
        whole run, sampling and validation included."""
        return {
            "epoch": self.epoch + 1,
            "step": self.step,
            "minutes": round(self.seconds / 60, 3),
            "train_loss": self.loss_sum / self.batch,
            "mels_per_second": round(self.step * self.config.batch_size / self.seconds, 2),
        }

    def fit_durations(self, data: SpectrogramSet) -> None:
        """Fit the durations of phones, in the network and its average, on alignments of the data.

        Only a new run needs that, which may take a minute; a checkpoint holds them.
        """
        if isinstance(data.condition_spec, PhoneCondition) and (found := data.alignments()):
            own = self.model.network.condition.durations
            fitted = copy.deepcopy(own).cpu().fit(found, self.config.seed).state_dict()
            for network in (self.model.network, self.ema.module):
                network.condition.durations.load_state_dict(fitted)

    def trouble(self, data: SpectrogramSet, losses: torch.Tensor, indices: list[int]) -> str:
        """Which step and recordings had losses that are not finite."""
        bad = [i for i, fine in zip(indices, losses.isfinite(), strict=True) if not fine]
        files = ", ".join(sorted({data.source(i) for i in bad or indices}))
        saved = self.saved_step
        last = f"the checkpoint of step {saved} is intact" if saved else "no checkpoint yet"
        return f"loss is not finite at step {self.step + 1}; mel-spectrograms from {files}; {last}"

    def save(self, folder: Path) -> None:
        """Write checkpoint and averaged weights; each appears whole or not at all."""
        # The weights first, so that what the checkpoint says is done lies beside it.
        if self.loss_to_beat == math.inf:
            self.averaged().save(folder / WEIGHTS, step=self.step, config=self.config.to_dict())
        self.write(folder / CHECKPOINT)
        self.saved_step = self.step

    def write(self, path: Path) -> None:
        """Write what `read_checkpoint` reads."""
        content = {
            "network": self.model.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": {name: getattr(self, name) for name in _COUNTERS},
        } | self._description()
        buffer = io.BytesIO()  # torch itself does not say that a disk is full
        torch.save(content, buffer)
        with atomic_write(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load(self, content: dict) -> None:
        """Continue from what `read_checkpoint` returned and `check` accepted."""
        self.go_on_as_begun(content)
        self.model.network.load_state_dict(content["network"])
        self.ema.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        for name in _COUNTERS:
            setattr(self, name, content["counters"][name])
        self.saved_step = self.step

    def go_on_as_begun(self, content: dict) -> str:
        """Take over the earlier defaults of a checkpoint; returns what changed, for a message."""
        ours, self.config = self.config.to_dict(), self.config.as_begun(content["config"])
        now = self.config.to_dict()
        self._set_optimizer()
        return ", ".join(f"{name} {now[name]}" for name in now if now[name] != ours[name])

    def check(self, content: dict, path: str | Path) -> None:
        """Refuse a checkpoint of other data or settings.

        Raises:
            ValueError: names both values, and the path it came from.
        """
        stored = type(self.model.params).from_dict(content["params"])
        stored.check_same(self.model.params, str(path), "the data")
        if (before := content.get("recordings", self.recordings)) != self.recordings:
            raise ValueError(
                f"{changes(before, self.recordings)} since {path} was written; needed: the same "
                f"data, or another name, with init_from={str(path).rpartition('/')[0]} to go on "
                "from its weights"
            )
        ours, theirs = fixed_settings(self._description()), fixed_settings(content)
        for name in ours | theirs:  # in their order
            if (one := ours.get(name)) != (other := theirs.get(name)):
                needed = "give that, or another name to start a new run"
                raise ValueError(f"{name} is {one} but {other} in {path}; {needed}")

    def _description(self) -> dict:
        return {
            "config": plain(self.config.to_dict()),
            "params": self.model.params.to_dict(),
            "unet": plain(self.model.network.config.to_dict()),
            "data": self.data,
            "recordings": self.recordings,
            "lessons": self.config.student_steps and step_schedule.LESSONS,
        }


def first_model(
    config: TrainConfig, data: SpectrogramSet, network: UNetConfig | None, device: torch.device
) -> DDPM:
    """The model at step 0: random weights, or those of `config.init_from`.

    Its network has the condition of the data. Unconditional weights fit too, as the condition has
    no effect at first, and so do those of phones, which are unconditional without their encoder;
    other weights of another condition do not.

    Raises:
        FileNotFoundError: no weights there.
        ValueError: their spectrogram parameters, condition, network, schedule or prediction type
            are others; names both values.
    """
    spec, first = data.condition_spec, None
    fixed = {name: getattr(config, name) for name in ("schedule", "noise_steps", "prediction_type")}
    unet_config = (network or UNetConfig()).with_condition(spec)
    if config.init_from:
        first = DDPM.load(config.init_from)
        first.params.check_same(data.params, config.init_from, "the data")
        if first.condition_spec not in (None, spec) and not first.has_phones:
            needed = "the same, unconditional weights, or those of phones"
            raise ValueError(
                f"condition is {config.condition!r}, {spec}, but that of {config.init_from} is "
                f"{first.condition_spec}; needed: {needed}"
            )
        theirs = first.network.config.with_condition(spec)
        if config.student_steps:  # a teacher does not drop out, so a student must not either
            theirs = replace(theirs, dropout=0.0)
        unet_config = unet_config if network else theirs
        pairs = {name: (value, getattr(first, name)) for name, value in fixed.items()}
        for name, (value, have) in (pairs | {"network": (unet_config, theirs)}).items():
            if value != have:
                raise ValueError(f"{name} is {value} but {have} in {config.init_from}; give that")
    torch.manual_seed(config.seed)
    unet = unet_config.build()
    if first:
        weights, same = first.network.state_dict(), first.condition_spec == spec
        if not same:  # an encoder of phones stays behind
            weights = {name: weights[name] for name in weights if not name.startswith("condition.")}
        unet.load_state_dict(weights, strict=same)
    unet = unet.to(device, memory_format=torch.channels_last)
    return DDPM(unet, data.params, **fixed, precision=config.precision)


def read_checkpoint(path: Path, name: str = "") -> dict:
    """What `TrainState.save` wrote.

    Args:
        name: for messages, where it is not the path.

    Raises:
        ValueError: it is damaged, or something else; or its training diverged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        whole = content.keys() >= _PARTS
    except Exception:  # torch raises many kinds; its advice is to run what is in the file
        whole = False
    if not whole:
        raise ValueError(
            f"{name or path} is damaged or not a checkpoint of this project; delete it, or give "
            "another name, to start a new run"
        )
    for part in ("network", "ema", "optimizer"):
        check_finite(_tensors(content[part], part), name or path)
    return content


def _tensors(values, name: str) -> dict[str, torch.Tensor]:
    """All tensors in nested states, by the names that lead to them."""
    if isinstance(values, torch.Tensor):
        return {name: values}
    pairs = values.items() if isinstance(values, dict) else ()
    found = (_tensors(value, f"{name}.{key}") for key, value in pairs)
    return {name: tensor for some in found for name, tensor in some.items()}
