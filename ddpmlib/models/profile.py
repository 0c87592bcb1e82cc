"""Profile of a network: parameters, FLOPs, and time and memory of a training step."""

import re
import statistics
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ddpmlib.models.devices import autocast
from ddpmlib.models.ema import ema_of
from ddpmlib.models.muon import optimizer_of

# One training step of the baseline network for one (64, 256) mel-spectrogram on two processor
# cores, measured: 17 to 34 s and 14.3 GB, with 137 GFLOP forward.
BASELINE = {"seconds": 17.0, "gigabytes": 14.3, "gflop": 137.0}
REPEATS = 15


@dataclass(frozen=True)
class NetworkProfile:
    """What a network costs for one image size on this machine."""

    parameters: int
    gflop: float  # forward, for one mel-spectrogram
    step_seconds: float  # a training step of one mel-spectrogram
    mel_seconds: float  # of one mel-spectrogram in a step of `batch_size`
    batch_size: int
    gigabytes: float  # peak of the whole process after the step of one mel-spectrogram


def profile_network(
    network: torch.nn.Module, image_size: tuple[int, int], batch_size: int = 16
) -> NetworkProfile:
    """Time training steps of one mel-spectrogram and of `batch_size`; the weights change.

    Args:
        network: called with x_t (batch, 1, *image_size) and time (batch,).

    Raises:
        ValueError: image_size is not divisible; names sizes that are.
    """
    network.config.check_image_size(image_size)
    network = network.to(memory_format=torch.channels_last)
    step_seconds = _seconds(training_step(network, image_size, 1))
    gigabytes = peak_gigabytes()
    return NetworkProfile(
        parameters=sum(p.numel() for p in network.parameters()),
        gflop=gflop(network, image_size),
        step_seconds=step_seconds,
        mel_seconds=_seconds(training_step(network, image_size, batch_size)) / batch_size,
        batch_size=batch_size,
        gigabytes=gigabytes,
    )


def gflop(network: torch.nn.Module, image_size: tuple[int, int]) -> float:
    """Billions of operations forward, for one mel-spectrogram."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, *image_size), torch.zeros(1))
    return counter.get_total_flops() / 1e9


def peak_gigabytes() -> float:
    """Most memory this process has held so far, Python and libraries included."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage would count what the parent process held
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) * 1024 / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9  # macOS counts bytes


def describe(profile: NetworkProfile, image_size: tuple[int, int]) -> str:
    """Lines to print; compared with the baseline where it was measured, at (64, 256)."""
    lines = [
        f"U-Net for image_size {tuple(image_size)}: {profile.parameters / 1e6:.2f} million "
        f"parameters, {profile.gflop:.2f} GFLOP forward",
        f"training step of one mel-spectrogram: {1000 * profile.step_seconds:.0f} ms, "
        f"{profile.gigabytes:.2f} GB for the whole process so far",
        f"training step of {profile.batch_size}: {1000 * profile.mel_seconds:.0f} ms each",
    ]
    if tuple(image_size) == (64, 256):
        lines.append(
            f"the baseline network needs {BASELINE['seconds'] / profile.step_seconds:.0f} times "
            f"the time, {BASELINE['gigabytes'] / profile.gigabytes:.0f} times the memory and "
            f"{BASELINE['gflop'] / profile.gflop:.0f} times the operations (measured once: at "
            f"least {BASELINE['seconds']:.0f} s, {BASELINE['gigabytes']} GB, "
            f"{BASELINE['gflop']:.0f} GFLOP)"
        )
    return "\n".join(lines)


def training_step(
    network: torch.nn.Module, image_size: tuple[int, int], batch_size: int, precision: str = "auto"
) -> Callable[[], None]:
    """What takes time in a training step: noise, loss, gradients, clipping, Muon and Adam, EMA; on
    random data."""
    device = next(network.parameters()).device
    optimizer = optimizer_of(network, "muon", 4e-4)
    ema = ema_of(network, 0.999)
    # Not zeros: their vanishing gradients become denormal numbers, which slow Adam tenfold.
    x_0 = torch.rand(batch_size, 1, *image_size, device=device) * 2 - 1
    time = torch.rand(batch_size, device=device)

    def step() -> None:
        noise = torch.randn_like(x_0)
        with autocast(device, precision):
            output = network(0.6 * x_0 + 0.8 * noise, time)
        (output.float() - noise).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update_parameters(network)

    return step


def _seconds(step: Callable[[], None]) -> float:
    """Median time of a step."""
    return statistics.median(timeit.repeat(step, number=1, repeat=REPEATS))
