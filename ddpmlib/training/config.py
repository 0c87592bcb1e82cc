"""Configuration of a training run."""

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path

from ddpmlib.diffusion.process import PREDICTION_TYPES
from ddpmlib.diffusion.schedules import MIN_NOISE_STEPS, SCHEDULES
from ddpmlib.models.devices import DEVICES, PRECISIONS
from ddpmlib.models.muon import OPTIMIZERS
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.parameters import OLD_NAMES, check_seed, check_type, rename
from ddpmlib.storage.paths import fetch

AT_LEAST = {"epochs": 1, "batch_size": 1, "sample_every": 1, "warmup_steps": 1}
AT_LEAST |= {"num_samples": 0, "noise_steps": MIN_NOISE_STEPS, "student_steps": 0}
POSITIVE = ("learning_rate", "clip_norm", "checkpoint_minutes", "max_minutes")
SHARES = ("ema_decay", "condition_dropout")
CHOICES = {"device": DEVICES, "precision": PRECISIONS, "schedule": SCHEDULES}
CHOICES |= {"prediction_type": PREDICTION_TYPES, "optimizer": OPTIMIZERS}
CHOICES |= {"time_sampling": ("logit_normal", "uniform")}
# These shape the model or the steps of its training; a resumed run must not change them.
FIXED = ("image_size", "noise_steps", "schedule", "prediction_type", "batch_size", "seed")
FIXED += ("optimizer", "ema_decay", "init_from", "student_steps", "condition")
FIXED += ("condition_dropout", "time_sampling")
# Defaults of earlier versions: a run that was begun with them goes on with them.
EARLIER = {"optimizer": "adam", "batch_size": 16, "learning_rate": 4e-4}
EARLIER |= {"time_sampling": "uniform"}
# A student has these from its teacher, and begins nearly right, with a target that has no noise.
AS_ITS_TEACHER = ("dataset", "bucket_name", "image_size", "noise_steps", "schedule")
AS_ITS_TEACHER += ("prediction_type", "condition")
STUDENT = {"student_steps": 4, "optimizer": "adam", "learning_rate": 1e-4, "epochs": 15}
STUDENT |= {"condition_dropout": 0.5, "ema_decay": 0.98, "warmup_steps": 20}


@dataclass(frozen=True)
class TrainConfig:
    """Parameters of a training run; the first nine mean what they meant in the original project."""

    epochs: int = 100  # passes over the training data
    batch_size: int = 4  # mel-spectrograms a step, over all processes; a GPU takes more at once
    image_size: tuple[int, int] = (64, 256)  # (n_mels, n_frames); must be that of the data
    learning_rate: float = 2e-3  # after warm-up
    device: str = "auto"  # auto, cpu, cuda or mps
    dataset: str = "sample_corpus.npy"  # name of the data, for the record
    bucket_name: str = ""  # bucket of the data; empty: local
    result_bucket: str = ""  # bucket for samples and model; empty: local only
    name: str = "DDPM_Unconditional256x"  # of the run and its folder
    init_from: str = ""  # initial weights: a file or run such as runs/demo; empty: random
    student_steps: int = 0  # of a student of init_from, or on from that; 0: ordinary training
    condition: str = ""  # column of the data to condition on, such as speaker or text; empty: none
    condition_dropout: float = 0.1  # share of mel-spectrograms trained with the null condition
    seed: int = 0  # of weights, order, noise and samples
    max_minutes: float | None = None  # of training, resumed time included; None: no limit
    noise_steps: int = 1000
    schedule: str = "cosine"  # cosine or linear
    prediction_type: str = "v"  # what the network predicts: v, eps or x0
    time_sampling: str = "logit_normal"  # of t in training: logit_normal or uniform
    ema_decay: float = 0.999  # of the averaged weights, reached by a warm-up
    num_samples: int = 8  # PNG and wav files at the end of an epoch
    sample_every: int = 1  # epochs
    checkpoint_minutes: float = 5.0  # between checkpoints inside a long epoch, and between uploads
    warmup_steps: int = 100  # of the learning rate
    optimizer: str = "muon"  # muon (for kernels of convolutions, adam for the rest) or adam
    clip_norm: float = 1.0  # of the gradient
    precision: str = "auto"  # auto, bfloat16 or float32

    def __post_init__(self):
        if isinstance(self.image_size, list):  # JSON and papermill know no tuples
            object.__setattr__(self, "image_size", tuple(self.image_size))
        values = self.to_dict()
        for field in dataclasses.fields(self):
            check_type(field.name, values[field.name], field.type)
        check_seed(self.seed)
        checks = [(name, values[name] >= n, f"at least {n}") for name, n in AT_LEAST.items()]
        checks += [(name, values[name] is None or values[name] > 0, "above 0") for name in POSITIVE]
        checks += [(name, 0 <= values[name] < 1, "at least 0 and below 1") for name in SHARES]
        for name, fits, needed in checks:
            if not fits:
                raise ValueError(f"{name} is {values[name]}; it must be {needed}")
        if Path(self.name).name != self.name or "\\" in self.name or self.name[:1] in ("", "."):
            raise ValueError(f"name is {self.name!r}; needed: a plain name without folders")
        if self.student_steps and not self.init_from:
            needed = "init_from, the run of its teacher"
            raise ValueError(f"student_steps is {self.student_steps} alone; needed: {needed}")
        for name, known in CHOICES.items():
            if values[name] not in known:
                raise ValueError(f"{name} is {values[name]!r}; needed: {', '.join(known)}")

    def check_data(self, data, validation) -> None:
        """Refuse `SpectrogramSet`s that do not fit this run.

        Raises:
            ValueError: spectrogram parameters, condition or image_size; names both values.
        """
        data.params.check_same(validation.params, "the training data", "the validation data")
        for opened in (data, validation):
            if (theirs := opened.condition) != (ours := self.condition):
                where = f"{opened.path.name} was opened with {theirs!r}"
                raise ValueError(f"condition is {ours!r} but {where}")
        name = data.path.name
        if self.image_size != (needed := data.params.image_size):
            raise ValueError(f"image_size is {self.image_size}; needed: {needed}, that of {name}")

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    def as_begun(self, begun: dict) -> "TrainConfig":
        """This config, with the EARLIER defaults that a run was begun with in place of ours.

        Args:
            begun: the config of the run, as `to_dict` returned it.
        """
        plain = TrainConfig()
        earlier = {
            name: value
            for name, value in EARLIER.items()
            if begun.get(name, value) == value and getattr(self, name) == getattr(plain, name)
        }
        return replace(self, **earlier)

    @classmethod
    def of_student(cls, run: str, **changes) -> "TrainConfig":
        """Of a student of a run: as the run's config.json says, but for STUDENT and the changes.

        Args:
            run: a name in `data/runs/`, a folder, or gs://bucket/NAME.

        Raises:
            FileNotFoundError: no such run, or it has no config.json.
        """
        folder = fetch(run if run == "pretrained" or "/" in run else f"runs/{run}")
        if not (path := folder / "config.json").is_file():
            raise FileNotFoundError(f"{path} does not exist; needed: the folder of a run")
        theirs = json.loads(path.read_text("utf-8"))
        theirs = {OLD_NAMES.get(name, name): value for name, value in theirs.items()}
        same = {name: theirs[name] for name in AS_ITS_TEACHER if name in theirs}
        own = {"init_from": str(folder), "name": f"{folder.name}_student"}
        return cls(**same | STUDENT | own | changes)

    @classmethod
    def from_parameters(cls, parameters: dict) -> "TrainConfig":
        """Read the parameters of a notebook; an unknown name raises TypeError naming it."""
        parameters = rename(parameters)
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(parameters) - known):
            raise TypeError(f"unknown parameter {unknown[0]!r}; known: {', '.join(sorted(known))}")
        return cls(**parameters)


def fixed_settings(description: dict) -> dict:
    """What a resumed run must not change, by present names; one from before a setting existed has
    its default, or the EARLIER one."""
    config = {OLD_NAMES.get(name, name): value for name, value in description["config"].items()}
    config = plain(TrainConfig().to_dict() | EARLIER) | config
    unet = plain(UNetConfig().to_dict()) | description["unet"]
    unet["condition of the U-Net"] = unet.pop("condition")
    rest = {"data": description["data"], "lessons of a student": description.get("lessons", 0)}
    return {name: config[name] for name in FIXED} | unet | rest


def plain(values: dict) -> dict:
    """As JSON would return it: lists for tuples."""
    return json.loads(json.dumps(values))
