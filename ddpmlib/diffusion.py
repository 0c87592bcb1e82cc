"""Diffusion in pure functions: forward process, training loss, samplers.

Notation of Ho et al. 2020 ("Denoising Diffusion Probabilistic Models", DDPM): x_0 a picture,
x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, for t = 0 ... noise_steps - 1.
"""

import math
from collections.abc import Callable, Sequence

import torch

TARGETS = ("eps", "x0", "v")

# Model: (x_t, time in [0, 1] of shape (batch,)) -> prediction of the target, shape of x_t.
Model = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# Callback: (step counted from 0, x_t after the step, predicted x_0); returns nothing.
Callback = Callable[[int, torch.Tensor, torch.Tensor], None]


def add_noise(
    x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """Forward process q(x_t | x_0), Ho et al. 2020, eq. 4.

    Args:
        x_0, noise: (batch, 1, height, width).
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


def target_of(
    target: str, x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """What the network learns to say: "eps" the noise, "x0" the picture, or "v".

    v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, section 4).

    Raises:
        ValueError: unknown target.
    """
    if target == "eps":
        return noise
    if target == "x0":
        return x_0
    if target == "v":
        signal, sigma = _scales(alpha_bar, t, x_0)
        return signal * noise - sigma * x_0
    raise ValueError(f"target is {target!r}; needed: {', '.join(TARGETS)}")


def training_loss(
    model: Model,
    x_0: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alpha_bar: torch.Tensor,
    target: str,
) -> torch.Tensor:
    """Mean squared error of every picture, (batch,) float32 (for "eps": Ho et al. 2020, eq. 14)."""
    output = model(add_noise(x_0, t, noise, alpha_bar), time_of(t, alpha_bar).to(x_0.device))
    wanted = target_of(target, x_0, t, noise, alpha_bar)
    return (output.float() - wanted).square().mean(dim=(1, 2, 3))


def time_of(t: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """Steps (batch,) -> times in [0, 1), the same for any number of noise steps."""
    return t.float() / len(alpha_bar)


def ddpm(
    model: Model,
    x_t: torch.Tensor,
    alpha_bar: torch.Tensor,
    target: str,
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> torch.Tensor:
    """Ancestral sampling: Ho et al. 2020, algorithm 2, posterior of eq. 6 and 7.

    Args:
        x_t: (batch, 1, height, width) standard normal noise.
        timesteps: falling steps to visit; the betas between them follow from alpha_bar.
        generator: of the noise added in each step but the last.

    Returns:
        x_0 of the shape of x_t, in [-1, 1].
    """
    for step, (t, now, before) in enumerate(_pairs(timesteps, alpha_bar)):
        x_0, _ = predict(model, x_t, t, alpha_bar, target)
        alpha = now / before
        beta = 1 - alpha
        mean = before**0.5 * beta / (1 - now) * x_0 + alpha**0.5 * (1 - before) / (1 - now) * x_t
        x_t = mean
        if before < 1:
            noise = _noise_like(x_t, generator)
            x_t = mean + (beta * (1 - before) / (1 - now)) ** 0.5 * noise
        if callback:
            callback(step, x_t, x_0)
    return x_t


def ddim(
    model: Model,
    x_t: torch.Tensor,
    alpha_bar: torch.Tensor,
    target: str,
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
    eta: float = 0.0,
) -> torch.Tensor:
    """Song et al. 2021 ("Denoising Diffusion Implicit Models"), eq. 12 and 16.

    eta 0 is deterministic, 1 adds as much noise as DDPM. Arguments and result as in `ddpm`.

    Raises:
        ValueError: eta outside 0...1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; it must be 0 to 1")
    for step, (t, now, before) in enumerate(_pairs(timesteps, alpha_bar)):
        x_0, eps = predict(model, x_t, t, alpha_bar, target)
        sigma = eta * ((1 - before) / (1 - now) * (1 - now / before)) ** 0.5
        x_t = before**0.5 * x_0 + max(0.0, 1 - before - sigma**2) ** 0.5 * eps
        if sigma > 0:
            x_t = x_t + sigma * _noise_like(x_t, generator)
        if callback:
            callback(step, x_t, x_0)
    return x_t


def dpmpp_2m(
    model: Model,
    x_t: torch.Tensor,
    alpha_bar: torch.Tensor,
    target: str,
    timesteps: Sequence[int],
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> torch.Tensor:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv 2211.01095), algorithm 2.

    First and last step are of first order. Deterministic: `generator` is not used. Arguments and
    result as in `ddpm`.
    """
    previous_x_0, previous_h = None, 0.0
    for step, (t, now, before) in enumerate(_pairs(timesteps, alpha_bar)):
        x_0, _ = predict(model, x_t, t, alpha_bar, target)
        if before == 1:
            x_t = x_0  # sigma 0: what remains is the prediction itself
        else:
            h = _log_snr(before) - _log_snr(now)  # lambda_t - lambda_s
            slope = x_0
            if previous_x_0 is not None:
                slope = x_0 + h / previous_h / 2 * (x_0 - previous_x_0)
            x_t = ((1 - before) / (1 - now)) ** 0.5 * x_t - before**0.5 * math.expm1(-h) * slope
            previous_x_0, previous_h = x_0, h
        if callback:
            callback(step, x_t, x_0)
    return x_t


SAMPLERS = {"ddpm": ddpm, "ddim": ddim, "dpmpp_2m": dpmpp_2m}


def predict(
    model: Model, x_t: torch.Tensor, t: int, alpha_bar: torch.Tensor, target: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """One look of the network: predicted (x_0 clipped to [-1, 1], eps that fits it).

    Pictures lie in [-1, 1], so a prediction outside is wrong; eps follows from the clipped x_0,
    which keeps x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps true.
    """
    output = model(x_t, time_of(torch.full((len(x_t),), t), alpha_bar).to(x_t.device)).float()
    power = float(alpha_bar[t])
    signal, sigma = power**0.5, (1 - power) ** 0.5
    if target == "eps":
        x_0 = (x_t - sigma * output) / signal
    elif target == "x0":
        x_0 = output
    elif target == "v":
        x_0 = signal * x_t - sigma * output
    else:
        raise ValueError(f"target is {target!r}; needed: {', '.join(TARGETS)}")
    x_0 = x_0.clamp(-1, 1)
    return x_0, (x_t - signal * x_0) / sigma


def _pairs(timesteps: Sequence[int], alpha_bar: torch.Tensor):
    """(t, alpha_bar at t, alpha_bar where the step from t leads); the last leads to 1."""
    levels = [float(alpha_bar[t]) for t in timesteps]
    return zip(timesteps, levels, [*levels[1:], 1.0], strict=True)


def _scales(alpha_bar, t, like) -> tuple[torch.Tensor, torch.Tensor]:
    power = alpha_bar[t.cpu()].view(-1, 1, 1, 1)  # float64, which not every device knows
    return power.sqrt().to(like), (1 - power).sqrt().to(like)


def _log_snr(power: float) -> float:
    """lambda = log(signal / sigma) of DPM-Solver."""
    return 0.5 * math.log(power / (1 - power))


def _noise_like(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    # Drawn on the CPU: the same seed gives the same picture on every device.
    return torch.randn(x.shape, generator=generator).to(x.device)
