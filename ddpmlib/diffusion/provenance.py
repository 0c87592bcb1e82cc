"""Provenance of a sample: what it follows from, so that it is reproduced exactly."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib.audio.cleaning import save_wav, unclipped
from ddpmlib.diffusion.ddpm import DDPM, GUIDING_MODEL, WEIGHTS
from ddpmlib.diffusion.samplers import GUIDANCE_SCALE, NUM_STEPS, Callback
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.parameters import OLD_NAMES
from ddpmlib.storage.paths import data_folder, fetch
from ddpmlib.vocoder.waveform import image_to_audio, images_to_audio

SHIPPED = "pretrained"


@dataclass(frozen=True)
class SampleProvenance:
    """All that one sample follows from; several samples are generated together.

    Equal provenance gives equal samples: to the bit on one machine and device with as many threads,
    elsewhere to the rounding of its precision.
    """

    run: str = SHIPPED  # or the name of a run, or gs://bucket/NAME
    weights: str = ""  # SHA-256 of them, and of their guiding model
    sampler: str = "dpmpp_2m"
    num_steps: int = NUM_STEPS
    time_grid: str = "log_snr"
    guidance_scale: float = GUIDANCE_SCALE
    guidance_interval: tuple[float, float] | None = None  # of log-SNR; None: everywhere
    seed: int = 0
    count: int = 1  # samples generated together
    index: int = 0  # which of them
    seconds: float | None = None  # length; None: that of the training data
    towards: int | None = None  # another seed: interpolate from the noise of one to the other
    condition: str | None = None  # a label or a text; None: the null condition
    timesteps: tuple[int, ...] | None = None  # of a learnt time grid; None: that of the run now

    def __post_init__(self):
        for name in ("guidance_interval", "timesteps"):
            if (values := getattr(self, name)) is not None:  # JSON knows lists only
                object.__setattr__(self, name, tuple(values))

    @property
    def name(self) -> str:
        """For files."""
        words = ""
        if self.condition is not None:
            words = "_" + re.sub(r"[^\w-]+", "_", self.condition)[:30]
            if words[1:] != self.condition:
                words += f"_{hashlib.sha256(self.condition.encode()).hexdigest()[:6]}"
        grid = self.time_grid
        if self.timesteps is not None:
            grid += f"_{hashlib.sha256(str(self.timesteps).encode()).hexdigest()[:6]}"
        within = "_".join(f"_{bound:g}" for bound in self.guidance_interval or ())
        towards = "" if self.towards is None else f"_to_{self.towards}"
        length = "" if self.seconds is None else f"_{self.seconds:g}s"
        return (
            f"{Path(self.run).name}_{self.weights[:8]}_{self.sampler}_{self.num_steps}"
            f"_{grid}_g{self.guidance_scale:g}{within}{words}_seed_{self.seed}{towards}"
            f"_{self.index}_of_{self.count}{length}"
        )

    def of(self, model: DDPM) -> "SampleProvenance":
        """With the noise steps of the model's learnt time grid, which may be learnt again."""
        if self.time_grid != "learnt" or self.timesteps is not None:
            return self
        return replace(self, timesteps=model.learnt_grids.get(self.num_steps))


def run_folder(run: str) -> Path:
    """Local folder of a run by its name or its path, or of the shipped weights; a run in a bucket
    is fetched.

    Raises:
        FileNotFoundError: there is none.
    """
    return fetch(run if run == SHIPPED or "/" in run else f"runs/{run}")


def runs() -> list[str]:
    """What there is to sample from: the shipped weights, and local runs with a model."""
    shipped = sorted((data_folder() / SHIPPED).glob(f"*/{WEIGHTS}"))
    folders = sorted((data_folder() / "runs").glob(f"*/{WEIGHTS}"))
    own = [path.parent.name for path in folders if path.parent.name != SHIPPED]
    return [SHIPPED, *(f"{SHIPPED}/{path.parent.name}" for path in shipped), *own]


def weights_hash(run: str) -> str:
    """SHA-256 of a run's weights and guiding model."""
    hashed = hashlib.sha256()
    for name in (WEIGHTS, GUIDING_MODEL):
        if (path := run_folder(run) / name).exists():
            hashed.update(path.read_bytes())
    return hashed.hexdigest()


def sample(
    model: DDPM, provenance: SampleProvenance, callback: Callback | None = None
) -> np.ndarray:
    """All samples generated together, (count, 1, n_mels, n_frames) in [-1, 1].

    Raises:
        ValueError: as `DDPM.sample`; interpolation by the "ddpm" sampler, whose own noise decides.
    """
    noise = None
    if provenance.towards is not None:
        if provenance.sampler == "ddpm":
            raise ValueError("sampler is 'ddpm', which adds noise of its own; needed: another one")
        if provenance.count < 2:
            raise ValueError(f"count is {provenance.count}; needed: at least 2, both ends")
        seeds = provenance.seed, provenance.towards
        ends = [model.noise(1, seed, provenance.seconds)[0] for seed in seeds]
        noise = slerp(*ends, np.linspace(0, 1, provenance.count))
    names = ("count", "sampler", "num_steps", "time_grid", "seed", "seconds")
    names += ("guidance_scale", "guidance_interval", "condition")
    settings = {name: getattr(provenance, name) for name in names}
    if provenance.timesteps is not None:
        model = replace(model, learnt_grids={provenance.num_steps: provenance.timesteps})
    return model.sample(**settings, callback=callback, noise=noise)


def slerp(start: torch.Tensor, end: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    """Noise on the arc from one draw to another, a row for each share in [0, 1].

    A straight line between them would have less than the variance of noise. Spherical linear
    interpolation (Shoemake 1985); of a diffusion model's noise: Song et al. 2021 ("Denoising
    Diffusion Implicit Models"), appendix D.5.
    """
    cosine = (start * end).sum() / (start.norm() * end.norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if angle < 1e-4:  # equal draws: every share of them is the same
        return torch.stack([start] * len(shares))
    return torch.stack(
        [
            (torch.sin((1 - s) * angle) * start + torch.sin(s * angle) * end) / torch.sin(angle)
            for s in shares
        ]
    )


def save_samples(
    folder: str | Path, provenance: SampleProvenance, mels: np.ndarray, model: DDPM
) -> list[Path]:
    """Write `sample_I.png`, `.wav` and `provenance.json` into a folder; returns the wav files.

    All sounds have one gain. Samples of an earlier call that are not written again are removed.
    """
    folder, rate = make_folder(folder), model.params.sample_rate
    sounds = unclipped(images_to_audio(mels, model.params))
    for i, (mel, sound) in enumerate(zip(mels, sounds, strict=True)):
        _save_sample(folder, f"sample_{i}", mel, sound, rate)
    for path in folder.glob("sample_*"):
        number = re.fullmatch(r"sample_(\d+)\.(png|wav)", path.name)
        if number and int(number[1]) >= len(mels):
            path.unlink()
    save(folder / "provenance.json", provenance.of(model))
    return [folder / f"sample_{i}.wav" for i in range(len(mels))]


def save_favourite(
    provenance: SampleProvenance, mel: np.ndarray, sound: np.ndarray, sample_rate: int
) -> Path:
    """Write wav, PNG and provenance into the favourites of the run.

    Returns:
        The JSON file, from which `reproduce` makes both again.
    """
    folder = make_folder(data_folder() / "runs" / run_folder(provenance.run).name / "favourites")
    _save_sample(folder, provenance.name, mel, sound, sample_rate)
    save(path := folder / f"{provenance.name}.json", provenance)
    return path


def reproduce(path: str | Path, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """Sample (1, n_mels, n_frames) and its sound, from a provenance file alone.

    Args:
        device: the one it was generated on, if every bit counts.

    Raises:
        FileNotFoundError: no such file, or its run is gone.
        ValueError: not such a file, or the run has other weights by now.
    """
    try:
        values = json.loads(fetch(path).read_text("utf-8"))
        values = {OLD_NAMES.get(name, name): value for name, value in values.items()}
        # Files from before there was a choice do not name their grid.
        provenance = SampleProvenance(**{"time_grid": "uniform"} | values)
    except (AttributeError, TypeError, ValueError) as error:
        known = ", ".join(field.name for field in fields(SampleProvenance))
        raise ValueError(f"{path} is no provenance; needed: JSON with {known}") from error
    if (found := weights_hash(provenance.run)) != provenance.weights:
        raise ValueError(
            f"weights of {provenance.run} are {found[:12]} but {provenance.weights[:12]} in {path}:"
            " the run was trained on since"
        )
    model = DDPM.load(run_folder(provenance.run), device)
    mel = sample(model, provenance)[provenance.index]
    return mel, image_to_audio(mel, model.params)


def _save_sample(folder: Path, name: str, mel: np.ndarray, sound: np.ndarray, rate: int) -> None:
    save_png(folder / f"{name}.png", mel)
    save_wav(folder / f"{name}.wav", sound, rate)


def save(path: Path, provenance: SampleProvenance) -> None:
    """Write it as JSON."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asdict(provenance), indent=1), "utf-8")
