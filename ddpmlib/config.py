"""What a training run is told, and what it tells while it runs."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from ddpmlib.devices import DEVICES, PRECISIONS
from ddpmlib.diffusion import TARGETS
from ddpmlib.parameters import check_type
from ddpmlib.schedules import MIN_NOISE_STEPS, SCHEDULES

MAX_SEED = 2**32 - 1  # torch on a processor ignores what is above 32 bits


@dataclass(frozen=True)
class TrainConfig:
    """What a run does. The first nine mean what they meant in the original project."""

    epochs: int = 100  # passes over the training pictures
    batch_size: int = 16  # pictures a step, over all processes
    image_size: tuple[int, int] = (64, 256)  # (n_mels, n_frames); must be that of the data
    learning_rate: float = 4e-4  # of Adam, after warm-up
    device: str = "auto"  # auto, cpu, cuda or mps
    dataset: str = "sample_corpus.npy"  # name of the data, for the record
    bucket_name: str = ""  # bucket of the data; empty: local
    result_bucket: str = ""  # bucket for samples and model; empty: local only
    name: str = "DDPM_Unconditional256x"  # of the run and its folder
    init_from: str = ""  # weights or run to begin with, such as runs/demo; empty: at random
    condition: str = ""  # what the network is told: a column of the data, such as speaker or text
    condition_dropout: float = 0.1  # share of pictures of which nothing is said
    seed: int = 0  # of weights, order, noise and samples
    max_minutes: float | None = None  # stop after this much training, resumed time included
    noise_steps: int = 1000
    schedule: str = "cosine"  # cosine or linear
    target: str = "v"  # what the network predicts: v, eps or x0
    ema_decay: float = 0.999  # of the averaged weights, reached by a warm-up
    num_samples: int = 8  # pictures and sounds made at the end of an epoch
    sample_every: int = 1  # epochs
    checkpoint_minutes: float = 5.0  # between checkpoints inside a long epoch, and between uploads
    warmup_steps: int = 100  # of the learning rate
    clip_norm: float = 1.0  # of the gradient
    precision: str = "auto"  # auto, bfloat16 or float32

    def __post_init__(self):
        if isinstance(self.image_size, list):  # JSON and papermill know no tuples
            object.__setattr__(self, "image_size", tuple(self.image_size))
        for field in dataclasses.fields(self):
            check_type(field.name, getattr(self, field.name), field.type)
        at_least = {"epochs": 1, "batch_size": 1, "sample_every": 1, "warmup_steps": 1}
        at_least |= {"num_samples": 0, "seed": 0, "noise_steps": MIN_NOISE_STEPS}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.seed > MAX_SEED:
            raise ValueError(f"seed is {self.seed}; it must be at most {MAX_SEED}")
        for name in ("learning_rate", "clip_norm", "checkpoint_minutes", "max_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        for name in ("ema_decay", "condition_dropout"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")
        if Path(self.name).name != self.name or "\\" in self.name or self.name[:1] in ("", "."):
            raise ValueError(f"name is {self.name!r}; needed: a plain name without folders")
        choices = {"device": DEVICES, "precision": PRECISIONS, "schedule": SCHEDULES}
        for name, known in (choices | {"target": TARGETS}).items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; needed: {', '.join(known)}")

    def check_data(self, data, validation) -> None:
        """Refuse `SpectrogramSet`s that this run cannot train on and validate with.

        Raises:
            ValueError: grid, image_size or batch_size do not fit; names both values.
        """
        data.params.check_same(validation.params, "the training data", "the validation data")
        for opened in (data, validation):
            if opened.condition != self.condition:
                raise ValueError(
                    f"condition is {self.condition!r} but {opened.path.name} was opened with "
                    f"{opened.condition!r}"
                )
        if self.image_size != data.params.image_size:
            raise ValueError(
                f"image_size is {self.image_size} but {data.path.name} holds pictures of "
                f"{data.params.image_size}"
            )
        if len(data) < self.batch_size:
            raise ValueError(
                f"batch_size is {self.batch_size} but {data.path.name} has {len(data)} training "
                f"pictures; needed: a batch_size of at most {len(data)}"
            )

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_parameters(cls, parameters: dict) -> "TrainConfig":
        """Read the parameters of a notebook; an unknown name raises TypeError naming it."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(parameters) - known):
            raise TypeError(f"unknown parameter {unknown[0]!r}; known: {', '.join(sorted(known))}")
        return cls(**parameters)


@dataclass(frozen=True)
class Progress:
    """What a callback sees after each step; `metrics` and `samples` only when an epoch ends."""

    config: TrainConfig
    epoch: int  # counted from 1
    step: int  # counted from 1, over all epochs
    share: float  # of the run, 0...1, by epochs or minutes, whichever ends first
    minutes: float  # of training so far
    loss: float  # of this step
    metrics: dict | None = None  # the row of metrics.csv just written
    samples: tuple[Path, ...] = ()  # PNG and wav files just written
    epoch_share: float = 0.0  # of the epoch, 0...1
