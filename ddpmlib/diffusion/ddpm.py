"""The trained model: network, schedule, prediction type and spectrogram parameters together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ddpmlib.diffusion import process
from ddpmlib.diffusion.editing import Edit
from ddpmlib.diffusion.guidance import guided_model
from ddpmlib.diffusion.samplers import SAMPLERS, Callback, run_sampler, seeded, settings_of
from ddpmlib.diffusion.schedules import noise_schedule, read_time_grids, sampling_timesteps
from ddpmlib.diffusion.speech import Speech, say
from ddpmlib.diffusion.windows import check_windows
from ddpmlib.models.baseline import BaselineConfig
from ddpmlib.models.condition import ConditionSpec, PhoneCondition
from ddpmlib.models.condition_rows import encode_conditions
from ddpmlib.models.devices import autocast, pick_device
from ddpmlib.models.unet import UNet, UNetConfig
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams
from ddpmlib.storage.parameters import accepting_old_names
from ddpmlib.storage.paths import fetch
from ddpmlib.storage.weights import build_like, load_weights, save_weights, unfit

WEIGHTS, GUIDING_MODEL = "model.safetensors", "guide.safetensors"
VALIDATION_MELS, VALIDATION_SAMPLES = 256, 32  # a student's loss is that of whole samplings


@dataclass
class DDPM:
    """A denoising diffusion model of mel-spectrograms; saved, loaded, sampled and evaluated."""

    network: UNet  # or the BaselineUNet
    params: SpectrogramParams = DEFAULT
    schedule: str = "cosine"
    noise_steps: int = 1000
    prediction_type: str = "v"
    precision: str = "auto"  # of the network's computation; see `autocast`
    guiding_model: "DDPM | None" = None  # a worse model of the same data; see `guided`
    # Number of steps -> noise steps visited; see `distillation.learn_time_grid`.
    learnt_grids: dict[int, tuple[int, ...]] = field(default_factory=dict)
    is_student: bool = False  # distilled for its one learnt grid, guidance included

    def __post_init__(self):
        self.alpha_bar = noise_schedule(self.schedule, self.noise_steps)
        process.check_prediction_type(self.prediction_type)
        self.network.config.check_image_size(self.params.image_size)
        if self.guiding_model:
            for name in ("params", "schedule", "noise_steps", "prediction_type"):
                theirs, ours = getattr(self.guiding_model, name), getattr(self, name)
                if theirs != ours:
                    raise ValueError(f"{name} of the guiding model is {theirs}; needed: {ours}")

    @property
    def has_phones(self) -> bool:
        """Whether it is conditioned on a phone for each frame."""
        return isinstance(self.condition_spec, PhoneCondition)

    @property
    def condition_spec(self) -> ConditionSpec | None:
        """What it can be conditioned on."""
        return self.network.config.condition

    @accepting_old_names
    @torch.inference_mode()
    def sample(
        self,
        count: int,
        sampler: str | None = None,
        num_steps: int | None = None,
        seed: int = 0,
        callback: Callback | None = None,
        batch_size: int = 16,
        seconds: float | None = None,
        guidance_scale: float | None = None,
        noise: torch.Tensor | None = None,
        condition=None,
        edit: Edit | None = None,
        time_grid: str | None = None,
        guidance_interval: Sequence[float] | None = None,
        **options,
    ) -> np.ndarray:
        """Generate mel-spectrograms.

        Sample i depends on `seed` and i alone, not on how many there are, for the deterministic
        samplers.

        Args:
            sampler: a name in `samplers.SAMPLERS`; None, here and below: see `settings`.
            num_steps: sampling steps, 1 ... noise_steps; with guidance each evaluates two networks.
            callback: see `samplers.Callback`; called for every batch.
            seconds: length of each, by default that of the training data. Longer ones are sampled
                in overlapping windows (`over_windows`), shorter ones cut off.
            guidance_scale: see `guided`.
            noise: initial noise, instead of `noise(count, seed, seconds)`.
            condition: a label, a text or a vector for all; or one for each sample, in a list or as
                `SpectrogramSet.conditions` has them; phones say how long the sample is.
            edit: a mel-spectrogram to begin from.
            time_grid: which noise steps are visited; see `sampling_timesteps`.
            guidance_interval: where there is guidance, see `guided_model`; None: everywhere.
            options: passed to the sampler, such as eta for "ddim".

        Returns:
            (count, 1, n_mels, n_frames) float32 in [-1, 1].

        Raises:
            ValueError: an argument out of range, unknown, or that does not fit; names it.
        """
        if count < 1:
            raise ValueError(f"count is {count}; needed: at least 1")
        given = {"sampler": sampler, "num_steps": num_steps, "time_grid": time_grid}
        how = self.settings(**given, guidance_scale=guidance_scale)
        sampler, num_steps, time_grid, guidance_scale = how.values()
        generator = seeded(seed)
        conditions = self._encode(condition, count, guidance_scale)
        frames = self.params.frames_in(self.params.seconds if seconds is None else seconds)
        width = max(frames, self.params.n_frames)
        if self.has_phones and conditions is not None:
            frames = width = conditions.shape[1]
        elif guidance_scale and width > self.params.n_frames:
            check_windows(self.condition_spec, conditions, seconds, self.params.seconds)
        drawn = self._draw(count, width, generator)
        noise = drawn if noise is None else noise
        if noise.shape != drawn.shape:
            raise ValueError(f"noise is {tuple(noise.shape)}; needed: {tuple(drawn.shape)}")
        strength = edit.strength if edit else 1.0
        grid = num_steps, time_grid, strength, self.learnt_grids
        timesteps = sampling_timesteps(self.alpha_bar, *grid)
        device, mels = next(self.network.parameters()).device, []
        own = conditions is not None and len(conditions) > 1  # each sample has another one
        wide = width > self.params.n_frames and batch_size
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            rows = conditions[part] if own else conditions
            model = guided_model(self, guidance_scale, rows, wide, guidance_interval)
            x_t = noise[part].to(device)
            if edit:
                x_t = edit.begin(x_t, timesteps[0], self.alpha_bar)
                model = edit.around(model, self.alpha_bar, self.prediction_type)
            step = SAMPLERS[sampler](generator, **options)
            inputs = x_t, self.alpha_bar, self.prediction_type, timesteps
            mels.append(run_sampler(step, model, *inputs, callback)[..., :frames].cpu())
        return torch.cat(mels).numpy()

    def settings(self, **given) -> dict:
        """How `sample` goes about: see `samplers.settings_of`."""
        return settings_of(self.noise_steps, self.learnt_grids, self.is_student, **given)

    def say(self, texts: str | Sequence[str], **options) -> list[Speech]:
        """Say texts: mel-spectrograms and sound of the length that each needs; see `speech.say`."""
        return say(self, texts, **options)

    def noise(self, count: int, seed: int = 0, seconds: float | None = None) -> torch.Tensor:
        """Initial noise of `sample`, (count, 1, n_mels, n_frames), as wide as the training data or
        wider."""
        width = max(self.params.frames_in(seconds or self.params.seconds), self.params.n_frames)
        return self._draw(count, width, seeded(seed))

    def _draw(self, count: int, width: int, generator: torch.Generator) -> torch.Tensor:
        shape = (1, 1, self.params.n_mels, width)
        return torch.cat([torch.randn(shape, generator=generator) for _ in range(count)])

    def _encode(self, condition, count: int, guidance_scale: float) -> torch.Tensor | None:
        """A row for each sample, or one for all of them."""
        if condition is None:
            return None
        if self.condition_spec is None:
            raise ValueError(f"condition is {condition!r}; needed: None, it is unconditional")
        each = count if isinstance(condition, list | torch.Tensor) else 1
        rows = encode_conditions(self.condition_spec, condition, each)
        return rows if guidance_scale else rows[:1]  # guidance_scale 0 ignores them

    def predict(
        self, x_t: torch.Tensor, time: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The network's prediction, of `prediction_type`.

        Args: x_t (batch, 1, n_mels, n_frames), time (batch,) in [0, 1), condition (batch, ...), or
            one row for all; None: the null condition.
        """
        rows = () if condition is None else (condition.expand(len(x_t), *condition.shape[1:]),)
        with autocast(x_t.device, self.precision):
            return self.network(x_t, time, *rows)

    @torch.inference_mode()
    def loss_on(
        self, mels: torch.utils.data.Dataset, batch_size: int = 16, losses: Callable | None = None
    ) -> float | None:
        """Mean training loss on held-out mel-spectrograms, with the same noise at every call; None
        when there are none.

        Args:
            mels: items (1, n_mels, n_frames), with their `conditions` if the model has any; of
                more than VALIDATION_MELS, an evenly spread part is used, of a student fewer.
            losses: of a student; see `held_out_loss`.

        Raises:
            ValueError: they have another kind of condition.
        """
        spec = self.condition_spec
        if spec and (theirs := getattr(mels, "condition_spec", spec)) != spec:
            raise ValueError(f"condition of the data is {theirs}; needed: {spec}")
        count = min(len(mels), VALIDATION_SAMPLES if losses else VALIDATION_MELS)
        chosen = np.linspace(0, len(mels) - 1, count).astype(int)
        rows = encode_conditions(spec, mels.conditions(chosen), count) if spec else None
        how = self.alpha_bar, self.prediction_type, batch_size, losses
        device = next(self.network.parameters()).device
        return process.held_out_loss(self.predict, mels, chosen, rows, device, *how)

    def save(self, path: str | Path, half: bool = False, base=None, **metadata) -> None:
        """Write weights as safetensors; what rebuilds the model, and `metadata`, travel inside.

        Args: half, base: see `save_weights`."""
        description = {
            "params": self.params.to_dict(),
            "network": self.network.config.to_dict(),
            "schedule": self.schedule,
            "noise_steps": self.noise_steps,
            "target": self.prediction_type,  # the key of the files' format
        }
        if self.is_student:
            [description["student_timesteps"]] = map(list, self.learnt_grids.values())
        save_weights(path, self.network, "ddpm", description | metadata, half, base)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "DDPM":
        """Read what `save` wrote, or the run directory that holds it and perhaps a guiding model
        and learnt time grids.

        Raises:
            FileNotFoundError: no such file or folder.
            ValueError: not weights of this project, or some that are NaN or infinite.
        """
        folder = path if (path := fetch(path)).is_dir() else None
        path = path / WEIGHTS if folder else path
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: has this run finished an epoch?")
        facts, state = load_weights(path, "ddpm")
        try:
            baseline = facts["network"] == BaselineConfig().to_dict()
            config = BaselineConfig() if baseline else UNetConfig(**facts["network"])
            network = build_like(state, config.build)
            params = SpectrogramParams.from_dict(facts["params"])
            model = cls(network, params, facts["schedule"], facts["noise_steps"], facts["target"])
            if steps := facts.get("student_timesteps"):
                model.is_student, model.learnt_grids = True, {len(steps): tuple(steps)}
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unfit(path, error) from error
        network.to(pick_device(device), memory_format=torch.channels_last).eval()
        if folder and not model.is_student:
            guiding = folder / GUIDING_MODEL
            guiding = cls.load(guiding, device) if guiding.exists() else None
            return replace(model, guiding_model=guiding, learnt_grids=read_time_grids(folder))
        return model
