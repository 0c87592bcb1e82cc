"""The trained thing: network, schedule, target and grid together; saved, loaded and sampled."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib import diffusion
from ddpmlib.original import OriginalConfig
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams
from ddpmlib.stitching import over_windows
from ddpmlib.storage import fetch
from ddpmlib.unet import UNet, UNetConfig
from ddpmlib.weights import load_weights, save_weights, unfit

WEIGHTS, GUIDE = "model.safetensors", "guide.safetensors"
GUIDANCE = 2.0  # how far from the guide; more is clearer and less varied, 1 is not at all
VALIDATION_PICTURES = 256
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "bfloat16", "float32")


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
        self.alpha_bar = diffusion.noise_schedule(self.schedule, self.noise_steps)
        if self.target not in diffusion.TARGETS:
            raise ValueError(f"target is {self.target!r}; needed: {', '.join(diffusion.TARGETS)}")
        self.network.config.check_image_size(self.params.image_size)
        for name in ("params", "schedule", "noise_steps", "target") if self.guide else ():
            if (theirs := getattr(self.guide, name)) != (ours := getattr(self, name)):
                raise ValueError(f"{name} of the guide is {theirs}; needed: {ours}, its model's")

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
            options: passed to the sampler, such as eta for "ddim".

        Returns:
            (count, 1, n_mels, frames) float32 in [-1, 1].

        Raises:
            ValueError: unknown sampler; steps, count or seconds out of range; noise of another
                shape.
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
        model = self.guided(guidance)
        if noise.shape[-1] > self.params.n_frames:
            model = over_windows(model, self.params.n_frames, batch_size)
        timesteps = diffusion.sampling_timesteps(self.noise_steps, steps)
        frames = self.params.n_frames if seconds is None else self.params.frames_in(seconds)
        device = next(self.network.parameters()).device
        pictures = []
        for x_t in noise.split(batch_size):
            x_0 = diffusion.SAMPLERS[sampler](
                model,
                x_t.to(device),
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

    def guided(self, guidance: float) -> diffusion.Model:
        """What the network predicts, led away from what the guide does: guide + g (own - guide).

        Two models of the same voice make the same mistakes, the worse one larger ones; beyond the
        better one there are fewer (Karras et al. 2024, "Guiding a Diffusion Model with a Bad
        Version of Itself"). Without a guide, or with guidance 1, `predict` itself.
        """
        if self.guide is None or guidance == 1:
            return self.predict

        def predict(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            worse = self.guide.predict(x_t, time).float()
            return worse + guidance * (self.predict(x_t, time).float() - worse)

        return predict

    @torch.inference_mode()
    def loss_on(self, pictures: torch.utils.data.Dataset, batch_size: int = 16) -> float | None:
        """Mean training loss on held-out pictures, with the same noise at every call.

        Args:
            pictures: items (1, n_mels, n_frames); of more than VALIDATION_PICTURES, an evenly
                spread part is used.

        Returns:
            None when there are no pictures.
        """
        count = min(len(pictures), VALIDATION_PICTURES)
        chosen = np.linspace(0, len(pictures) - 1, count).astype(int)
        generator = torch.Generator().manual_seed(0)
        t = (torch.randperm(count, generator=generator) + 0.5) / max(1, count) * self.noise_steps
        device, total = next(self.network.parameters()).device, 0.0
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            x_0 = torch.stack([pictures[i] for i in chosen[part]])
            noise = torch.randn(x_0.shape, generator=generator).to(device)
            inputs = x_0.to(device), t[part].long(), noise, self.alpha_bar, self.target
            total += diffusion.training_loss(self.predict, *inputs).sum().item()
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

    def predict(self, x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The network's prediction of the target."""
        with autocast(x_t.device, self.precision):
            return self.network(x_t, time)


def pick_device(name: str) -> str:
    """Where to compute: "auto" is cuda or mps where there is one, else cpu.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name not in DEVICES:
        raise ValueError(f"device is {name!r}; needed: {', '.join(DEVICES)}")
    if name == "auto":
        return next((device for device, here in available.items() if here), "cpu")
    if not available.get(name, True):
        raise ValueError(f"device is {name!r}, which this machine lacks; use auto or cpu")
    return name


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """Mixed precision: "bfloat16", "float32" (off), or "auto", bfloat16 where it is the faster.

    Raises:
        ValueError: another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; needed: {', '.join(PRECISIONS)}")
    fast = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device.type))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Without instructions for it, bfloat16 on a processor is slower than float32.
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()
