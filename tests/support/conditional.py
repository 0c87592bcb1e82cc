"""Networks of `tiny.NETWORK` with each kind of condition."""

import numpy as np
import torch
from tiny import NETWORK, PARAMS

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    PhoneCondition,
    TextCondition,
)
from ddpmlib.models.unet import UNet
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.pronunciation import PHONES, SILENCE

SPEECH = SpectrogramParams(n_fft=512, hop_length=256, n_mels=8, n_frames=32)  # of `speaking`
WORDS = np.random.default_rng(0).normal(size=(3, 4))


def phones(*indices: int, n_frames: int = PARAMS.n_frames) -> np.ndarray:
    """Rows of phones that share the frames equally."""
    which = np.arange(n_frames) * len(indices) / n_frames
    seconds = n_frames / len(indices) * PARAMS.hop_length / PARAMS.sample_rate
    columns = np.array(indices)[which.astype(int)], which % 1, np.full(n_frames, np.log(seconds))
    return np.stack(columns, axis=1).astype(np.float32)


# Of each kind, one and another value.
SPECS = {
    "labels": (ClassCondition(3, ("ann", "bob", "eve")), "ann", "eve"),
    "vector": (EmbeddingCondition(4), WORDS[0], WORDS[1]),
    "sequence": (EmbeddingCondition(4, 5), WORDS, WORDS[::-1]),
    "tokens": (TextCondition(6, "abc"), "ab", "ba"),
    "phones": (PhoneCondition(("SIL", "a", "b"), *PARAMS.image_size), phones(1, 2), phones(3, 2)),
}


def network(spec: ConditionSpec | None, seed: int = 0) -> UNet:
    """A network whose every part has an effect, unlike one at the beginning of training."""
    torch.manual_seed(seed)
    made = NETWORK.with_condition(spec).build()
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return made.eval()


def batch(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """x_t and time."""
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(count, 1, *PARAMS.image_size, generator=generator)
    return x_t, torch.linspace(0.1, 0.9, count)


def speaking(seed: int = 0) -> DDPM:
    """A model that says texts, untrained: a sound of its own for each phone."""
    spec = PhoneCondition((SILENCE, *PHONES), *SPEECH.image_size)
    made = network(spec, seed)
    made.condition.durations.correction.fill_(1.0)
    return DDPM(made, SPEECH, noise_steps=20, precision="float32")
