"""The diffusion process in pure functions: forward process, prediction types, training loss.

Notation of Ho et al. 2020 ("Denoising Diffusion Probabilistic Models", DDPM): x_0 is data,
x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, for t = 0 ... noise_steps - 1.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

PREDICTION_TYPES = ("eps", "x0", "v")

# Model: (x_t, time in [0, 1) of shape (batch,)) -> prediction of a prediction type, shape of x_t.
Model = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def add_noise(
    x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """Forward process q(x_t | x_0), Ho et al. 2020, eq. 4.

    Args:
        x_0, noise: (batch, 1, n_mels, n_frames).
        t: (batch,) whole steps in 0 ... noise_steps - 1, best on the CPU, where alpha_bar is.
    """
    signal, sigma = _scales(alpha_bar, t, x_0)
    return signal * x_0 + sigma * noise


def noise_in(
    x_t: torch.Tensor, x_0: torch.Tensor, t: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """The noise with which `add_noise` makes x_t of x_0."""
    signal, sigma = _scales(alpha_bar, t, x_t)
    return (x_t - signal * x_0) / sigma


def prediction_target(
    prediction_type: str,
    x_0: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alpha_bar: torch.Tensor,
) -> torch.Tensor:
    """What a network of a prediction type is trained to output: the noise, x_0, or the velocity v.

    v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, section 4).

    Raises:
        ValueError: unknown prediction type.
    """
    check_prediction_type(prediction_type)
    if prediction_type == "eps":
        return noise
    if prediction_type == "x0":
        return x_0
    signal, sigma = _scales(alpha_bar, t, x_0)
    return signal * noise - sigma * x_0


def check_prediction_type(prediction_type: str) -> None:
    """Raise ValueError unless it is one of PREDICTION_TYPES."""
    if prediction_type not in PREDICTION_TYPES:
        needed = ", ".join(PREDICTION_TYPES)
        raise ValueError(f"prediction_type is {prediction_type!r}; needed: {needed}")


def training_loss(
    model: Model,
    x_0: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alpha_bar: torch.Tensor,
    prediction_type: str,
) -> torch.Tensor:
    """Mean squared error of each item, (batch,) float32 (for "eps": Ho et al. 2020, eq. 14)."""
    output = model(add_noise(x_0, t, noise, alpha_bar), time_of(t, alpha_bar).to(x_0.device))
    wanted = prediction_target(prediction_type, x_0, t, noise, alpha_bar)
    return (output.float() - wanted).square().mean(dim=(1, 2, 3))


def held_out_loss(
    predict: Callable[..., torch.Tensor],
    mels: Sequence[torch.Tensor],
    chosen: Sequence[int],
    rows: torch.Tensor | None,
    device: torch.device,
    alpha_bar: torch.Tensor,
    prediction_type: str,
    batch_size: int,
    losses: Callable[..., torch.Tensor] | None = None,
) -> float | None:
    """Mean training loss of the chosen ones, with the same times and noise at every call.

    Args:
        predict: (x_t, time, condition) -> prediction.
        rows: their conditions (chosen, ...); None: the null condition.
        losses: of a student; see `distillation.Teacher.losses`.

    Returns:
        None when there are none.
    """
    generator, count, total = torch.Generator().manual_seed(0), len(chosen), 0.0
    t = (torch.randperm(count, generator=generator) + 0.5) / max(1, count) * len(alpha_bar)
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        x_0 = torch.stack([mels[i] for i in chosen[part]])
        noise = torch.randn(x_0.shape, generator=generator).to(device)
        condition = None if rows is None else rows[part]
        model = partial(predict, condition=condition)
        if losses:
            found = losses(model, noise, condition)
        else:
            pair = x_0.to(device), t[part].long(), noise
            found = training_loss(model, *pair, alpha_bar, prediction_type)
        total += found.sum().item()
    return total / count if count else None


def time_of(t: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """Steps (batch,) -> times in [0, 1), the same for any number of noise steps."""
    return t.float() / len(alpha_bar)


def predict(
    model: Model, x_t: torch.Tensor, t: int, alpha_bar: torch.Tensor, prediction_type: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """One evaluation of the model: predicted (x_0 clipped to [-1, 1], eps that fits it).

    Mel-spectrograms lie in [-1, 1], so a prediction outside is wrong; eps follows from the clipped
    x_0, which keeps x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps true.
    """
    check_prediction_type(prediction_type)
    output = model(x_t, time_of(torch.full((len(x_t),), t), alpha_bar).to(x_t.device)).float()
    power = float(alpha_bar[t])
    signal, sigma = power**0.5, (1 - power) ** 0.5
    if prediction_type == "eps":
        x_0 = (x_t - sigma * output) / signal
    elif prediction_type == "v":
        x_0 = signal * x_t - sigma * output
    else:
        x_0 = output
    x_0 = x_0.clamp(-1, 1)
    return x_0, (x_t - signal * x_0) / sigma


def _scales(alpha_bar, t, like) -> tuple[torch.Tensor, torch.Tensor]:
    power = alpha_bar[t.cpu()].view(-1, 1, 1, 1)  # float64, which not every device has
    return power.sqrt().to(like), (1 - power).sqrt().to(like)
