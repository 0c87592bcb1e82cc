"""What an invented picture follows from, so that it can be kept and made again exactly."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from ddpmlib.audio import save_wav
from ddpmlib.ddpm import DDPM, GUIDANCE, GUIDE, WEIGHTS
from ddpmlib.diffusion import Callback
from ddpmlib.spectrogram import image_to_audio, save_png
from ddpmlib.storage import atomic_write, data_folder, fetch, make_folder

SHIPPED = "pretrained"


@dataclass(frozen=True)
class Recipe:
    """One picture of those that are made together.

    Equal recipes give equal pictures: to the bit on one machine and device with as many threads,
    elsewhere to the rounding of its precision.
    """

    run: str = SHIPPED  # or the name of a run, or gs://bucket/NAME
    weights: str = ""  # SHA-256 of them, and of their guide
    sampler: str = "dpmpp_2m"
    steps: int = 25
    guidance: float = GUIDANCE
    seed: int = 0
    count: int = 1  # pictures made together
    index: int = 0  # which of them
    seconds: float | None = None  # length; None: that of the pictures learned from
    towards: int | None = None  # another seed: the pictures lead from one voice to the other
    condition: str | None = None  # what was said: a label or a text; None: nothing

    @property
    def name(self) -> str:
        """For files."""
        morph = "" if self.towards is None else f"_to_{self.towards}"
        length = "" if self.seconds is None else f"_{self.seconds:g}s"
        run = Path(self.run).name
        how = f"{self.sampler}_{self.steps}_g{self.guidance:g}{self._said}_seed_{self.seed}{morph}"
        return f"{run}_{self.weights[:8]}_{how}_{self.index}_of_{self.count}{length}"

    @property
    def _said(self) -> str:
        if self.condition is None:
            return ""
        words = re.sub(r"[^\w-]+", "_", self.condition)[:30]
        if words == self.condition:
            return f"_{words}"
        return f"_{words}_{hashlib.sha256(self.condition.encode()).hexdigest()[:6]}"


def run_folder(run: str) -> Path:
    """Local folder of a run, or of the shipped weights; a run in a bucket is fetched.

    Raises:
        FileNotFoundError: there is none.
    """
    return fetch(run if run == SHIPPED or run.startswith("gs://") else f"runs/{run}")


def runs() -> list[str]:
    """What there is to sample from: the shipped weights, and local runs with a model."""
    folders = sorted((data_folder() / "runs").glob(f"*/{WEIGHTS}"))
    return [SHIPPED, *(path.parent.name for path in folders if path.parent.name != SHIPPED)]


def weights_hash(run: str) -> str:
    """SHA-256 of a run's weights and guide."""
    hashed = hashlib.sha256()
    for name in (WEIGHTS, GUIDE):
        if (path := run_folder(run) / name).exists():
            hashed.update(path.read_bytes())
    return hashed.hexdigest()


def invent(model: DDPM, recipe: Recipe, callback: Callback | None = None) -> np.ndarray:
    """All pictures that are made together, (count, 1, n_mels, frames) in [-1, 1].

    Raises:
        ValueError: as `DDPM.sample`; a morph by the "ddpm" sampler, which forgets its beginning.
    """
    noise = None
    if recipe.towards is not None:
        if recipe.sampler == "ddpm":
            raise ValueError("sampler is 'ddpm', which draws its own way; a morph needs another")
        if recipe.count < 2:
            raise ValueError(f"number is {recipe.count}; a morph needs at least 2, its ends")
        ends = [model.noise(1, seed, recipe.seconds)[0] for seed in (recipe.seed, recipe.towards)]
        noise = slerp(*ends, np.linspace(0, 1, recipe.count))
    return model.sample(
        recipe.count,
        recipe.sampler,
        recipe.steps,
        recipe.seed,
        callback,
        seconds=recipe.seconds,
        guidance=recipe.guidance,
        noise=noise,
        condition=recipe.condition,
    )


def slerp(start: torch.Tensor, end: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
    """Noise on the arc from one draw to another, a row for each share in [0, 1].

    Straight between them it would be too soft to be noise. Spherical linear interpolation
    (Shoemake 1985); of a diffusion model's noise: Song et al. 2021 ("Denoising Diffusion Implicit
    Models"), appendix D.5.
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


def keep(recipe: Recipe, picture: np.ndarray, sound: np.ndarray, sample_rate: int) -> Path:
    """Write wav, PNG and the recipe as JSON into the run's folder of favourites.

    Returns:
        The JSON file, from which `make_again` makes both again.
    """
    folder = make_folder(data_folder() / "runs" / run_folder(recipe.run).name / "favourites")
    save_png(folder / f"{recipe.name}.png", picture)
    save_wav(folder / f"{recipe.name}.wav", sound, sample_rate)
    with atomic_write(folder / f"{recipe.name}.json") as temporary:
        temporary.write_text(json.dumps(asdict(recipe), indent=1), "utf-8")
    return folder / f"{recipe.name}.json"


def make_again(path: str | Path, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """Picture (1, n_mels, frames) and sound of a favourite, from its recipe alone.

    Args:
        device: the one it was made on, if every bit counts.

    Raises:
        FileNotFoundError: no such file, or its run is gone.
        ValueError: not a recipe, or the run has other weights by now.
    """
    try:
        values = json.loads(fetch(path).read_text("utf-8"))
        recipe = Recipe(**values)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in fields(Recipe))
        raise ValueError(f"{path} is not a recipe; needed: JSON with {known}") from error
    if (found := weights_hash(recipe.run)) != recipe.weights:
        raise ValueError(
            f"weights of {recipe.run} are {found[:12]} but {recipe.weights[:12]} in {path}: the "
            "run was trained on since"
        )
    model = DDPM.load(run_folder(recipe.run), device)
    picture = invent(model, recipe)[recipe.index]
    return picture, image_to_audio(picture, model.params)
