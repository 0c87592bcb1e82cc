"""The trained thing: network, schedule, target and grid together; saved, loaded and sampled."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ddpmlib import diffusion
from ddpmlib.condition import Kind, rows
from ddpmlib.devices import autocast, pick_device
from ddpmlib.editing import Edit
from ddpmlib.guidance import guided
from ddpmlib.original import OriginalConfig
from ddpmlib.schedules import noise_schedule, sampling_timesteps
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams
from ddpmlib.stitching import over_windows
from ddpmlib.storage import fetch
from ddpmlib.unet import UNet, UNetConfig
from ddpmlib.weights import load_weights, save_weights, unfit

WEIGHTS, GUIDE = "model.safetensors", "guide.safetensors"
GUIDANCE = 2.0  # see `guided`; more is clearer and less varied
VALIDATION_PICTURES = 256


@dataclass
class DDPM:
    """A denoising diffusion model of pictures, with everything needed to turn them into sound."""

    network: UNet  # or the OriginalUNet
    params: SpectrogramParams = DEFAULT
    schedule: str = "cosine"
    noise_steps: int = 1000
    target: str = "v"
    precision: str = "auto"  # of the network's computation; see `autocast`
    guide: "DDPM | None" = None  # a worse model of the same voice; see `guided`

    def __post_init__(self):
        self.alpha_bar = noise_schedule(self.schedule, self.noise_steps)
        if self.target not in diffusion.TARGETS:
            raise ValueError(f"target is {self.target!r}; needed: {', '.join(diffusion.TARGETS)}")
        self.network.config.check_image_size(self.params.image_size)
        for name in ("params", "schedule", "noise_steps", "target") if self.guide else ():
            if (theirs := getattr(self.guide, name)) != (ours := getattr(self, name)):
                raise ValueError(f"{name} of the guide is {theirs}; needed: {ours}, its model's")

    @property
    def kind(self) -> Kind | None:
        """What it can be told besides picture and time."""
        return self.network.config.condition

    @torch.inference_mode()
    def sample(
        self,
        count: int,
        sampler: str = "dpmpp_2m",
        steps: int = 25,
        seed: int = 0,
        callback: diffusion.Callback | None = None,
        batch_size: int = 16,
        seconds: float | None = None,
        guidance: float = GUIDANCE,
        noise: torch.Tensor | None = None,
        condition=None,
        edit: Edit | None = None,
        **options,
    ) -> np.ndarray:
        """Invent pictures.

        Picture i depends on `seed` and i alone, not on how many are made, for the deterministic
        samplers.

        Args:
            count: how many pictures.
            sampler: "ddpm", "ddim" or "dpmpp_2m".
            steps: looks of the network, 1 ... noise_steps.
            callback: see `diffusion.Callback`; called for every batch.
            seconds: length of each, by default that of the pictures learned from. Longer ones are
                stitched (`ddpmlib.stitching`), shorter ones cut off.
            guidance: see `guided`.
            noise: what to begin with, instead of `noise(count, seed, seconds)`.
            condition: what to say: a label, a text or a vector for all; or one for each picture, in
                a list or as `SpectrogramSet.conditions` has them. See `condition.rows`.
            edit: a picture to begin from.
            options: passed to the sampler, such as eta for "ddim".

        Returns:
            (count, 1, n_mels, frames) float32 in [-1, 1].

        Raises:
            ValueError: unknown sampler; steps, count, seconds or guidance out of range; noise,
                condition or edit that do not fit.
        """
        if sampler not in diffusion.SAMPLERS:
            raise ValueError(f"sampler is {sampler!r}; needed: {', '.join(diffusion.SAMPLERS)}")
        if count < 1:
            raise ValueError(f"count is {count}; needed: at least 1")
        generator = torch.Generator().manual_seed(seed)
        drawn = self._draw(count, seconds, generator)
        noise = drawn if noise is None else noise
        if noise.shape != drawn.shape:
            raise ValueError(f"noise is {tuple(noise.shape)}; needed: {tuple(drawn.shape)}")
        said = self._said(condition, count, guidance)
        timesteps = sampling_timesteps(self.noise_steps, steps, edit.strength if edit else 1.0)
        frames = self.params.n_frames if seconds is None else self.params.frames_in(seconds)
        device = next(self.network.parameters()).device
        wide, pictures = noise.shape[-1] > self.params.n_frames, []
        own = said is not None and len(said) > 1  # each picture is told something else
        together = 1 if wide and own else batch_size  # windows of a wide picture are told the same
        for start in range(0, count, together):
            part = slice(start, start + together)
            model = guided(self, guidance, said[part] if own else said)
            if wide:
                model = over_windows(model, self.params.n_frames, batch_size)
            x_t = noise[part].to(device)
            if edit:
                x_t = edit.begin(x_t, timesteps[0], self.alpha_bar)
                model = edit.around(model, self.alpha_bar, self.target)
            x_0 = diffusion.SAMPLERS[sampler](
                model,
                x_t,
                self.alpha_bar,
                self.target,
                timesteps,
                generator=generator,
                callback=callback,
                **options,
            )
            pictures.append(x_0[..., :frames].cpu())
        return torch.cat(pictures).numpy()

    def noise(self, count: int, seed: int = 0, seconds: float | None = None) -> torch.Tensor:
        """What `sample` begins with: standard normal (count, 1, n_mels, frames), one picture after
        the other; never narrower than a picture learned from."""
        return self._draw(count, seconds, torch.Generator().manual_seed(seed))

    def _draw(self, count: int, seconds: float | None, generator: torch.Generator) -> torch.Tensor:
        frames = self.params.n_frames if seconds is None else self.params.frames_in(seconds)
        shape = (1, 1, self.params.n_mels, max(frames, self.params.n_frames))
        return torch.cat([torch.randn(shape, generator=generator) for _ in range(count)])

    def _said(self, condition, count: int, guidance: float) -> torch.Tensor | None:
        """A row for each picture, or one for all of them."""
        if condition is None:
            return None
        if self.kind is None:
            raise ValueError(f"condition is {condition!r}; needed: None, this model knows none")
        each = isinstance(condition, list | torch.Tensor)
        said = rows(self.kind, condition, count if each else 1)
        return said if guidance else said[:1]  # of which guidance 0 takes no notice

    @torch.inference_mode()
    def loss_on(self, pictures: torch.utils.data.Dataset, batch_size: int = 16) -> float | None:
        """Mean training loss on held-out pictures, with the same noise at every call.

        Args:
            pictures: items (1, n_mels, n_frames), with their `conditions` if the model knows any;
                of more than VALIDATION_PICTURES, an evenly spread part is used.

        Returns:
            None when there are no pictures.

        Raises:
            ValueError: the pictures are told something else.
        """
        if self.kind and (kind := getattr(pictures, "kind", self.kind)) != self.kind:
            raise ValueError(f"pictures are told {kind or 'nothing'}; needed: {self.kind}")
        count = min(len(pictures), VALIDATION_PICTURES)
        chosen = np.linspace(0, len(pictures) - 1, count).astype(int)
        said = rows(self.kind, pictures.conditions(chosen), count) if self.kind else None
        generator = torch.Generator().manual_seed(0)
        t = (torch.randperm(count, generator=generator) + 0.5) / max(1, count) * self.noise_steps
        device, total = next(self.network.parameters()).device, 0.0
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            x_0 = torch.stack([pictures[i] for i in chosen[part]])
            noise = torch.randn(x_0.shape, generator=generator).to(device)
            model = partial(self.predict, condition=None if said is None else said[part])
            inputs = x_0.to(device), t[part].long(), noise, self.alpha_bar, self.target
            total += diffusion.training_loss(model, *inputs).sum().item()
        return total / count if count else None

    def save(self, path: str | Path, half: bool = False, **metadata) -> None:
        """Write weights as safetensors; what rebuilds the model, and `metadata`, travel inside."""
        description = {
            "params": self.params.to_dict(),
            "network": self.network.config.to_dict(),
            "schedule": self.schedule,
            "noise_steps": self.noise_steps,
            "target": self.target,
        }
        save_weights(path, self.network, "ddpm", description | metadata, half)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "DDPM":
        """Read what `save` wrote, or the run folder that holds it and perhaps its guide.

        Raises:
            FileNotFoundError: no such file or folder.
            ValueError: not weights of this project.
        """
        path = fetch(path)
        if path.is_dir() and (path / GUIDE).exists():
            model, guide = (cls.load(path / name, device) for name in (WEIGHTS, GUIDE))
            return replace(model, guide=guide)
        path = path / WEIGHTS if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: has this run finished an epoch?")
        description, state = load_weights(path, "ddpm")
        try:
            model = cls._rebuild(description, state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, error) from error
        model.network.to(pick_device(device), memory_format=torch.channels_last).eval()
        return model

    @classmethod
    def _rebuild(cls, facts: dict, state: dict[str, torch.Tensor]) -> "DDPM":
        original = facts["network"] == OriginalConfig().to_dict()
        config = OriginalConfig() if original else UNetConfig(**facts["network"])
        network = config.build()
        # A wrapper for several GPUs puts "module." before every name.
        network.load_state_dict({n.removeprefix("module."): v for n, v in state.items()})
        params = SpectrogramParams.from_dict(facts["params"])
        return cls(network, params, facts["schedule"], facts["noise_steps"], facts["target"])

    def predict(
        self, x_t: torch.Tensor, time: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The network's prediction of the target; a condition is (batch, ...), None: nothing."""
        said = () if condition is None else (condition.expand(len(x_t), *self.kind.shape),)
        with autocast(x_t.device, self.precision):
            return self.network(x_t, time, *said)
