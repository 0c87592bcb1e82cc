"""What a U-Net costs: parameters, operations, and time and memory of a training step."""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ddpmlib import diffusion
from ddpmlib.config import TrainConfig
from ddpmlib.ddpm import DDPM
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.state import TrainState
from ddpmlib.unet import UNet, UNetConfig

# One training step of the original network for one (64, 256) picture on two processor cores,
# measured: 17 to 34 s and 14.3 GB, with 137 GFLOP forward.
ORIGINAL = {"seconds": 17.0, "gigabytes": 14.3, "gflop": 137.0}
REPEATS = 15


@dataclass(frozen=True)
class Cost:
    """Cost of a network for one image size on this machine."""

    parameters: int
    gflop: float  # forward, for one picture
    step_seconds: float  # one training step of one picture
    picture_seconds: float  # one picture in a step of `batch_size`
    batch_size: int
    gigabytes: float  # peak of the whole process after the step of one picture


def measure(image_size: tuple[int, int], network: UNetConfig, batch_size: int = 16) -> Cost:
    """Time training steps of one picture and of `batch_size`.

    Raises:
        ValueError: image_size is not divisible; names sizes that are.
    """
    network.check_image_size(image_size)
    params = SpectrogramParams(n_mels=image_size[0], n_frames=image_size[1])
    unet = UNet(network).to(memory_format=torch.channels_last)
    state = TrainState(DDPM(unet, params), TrainConfig(image_size=image_size))
    step_seconds = _seconds(state, 1)
    gigabytes = peak_gigabytes()
    return Cost(
        parameters=sum(p.numel() for p in unet.parameters()),
        gflop=gflop(unet, image_size),
        step_seconds=step_seconds,
        picture_seconds=_seconds(state, batch_size) / batch_size,
        batch_size=batch_size,
        gigabytes=gigabytes,
    )


def gflop(network: torch.nn.Module, image_size: tuple[int, int]) -> float:
    """Billions of operations forward, for one picture."""
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


def describe(cost: Cost, image_size: tuple[int, int]) -> str:
    """Lines for people; beside the original where it was measured, at (64, 256)."""
    lines = [
        f"U-Net for pictures of {tuple(image_size)}: {cost.parameters / 1e6:.2f} million "
        f"parameters, {cost.gflop:.2f} GFLOP forward",
        f"training step of one picture: {1000 * cost.step_seconds:.0f} ms, "
        f"{cost.gigabytes:.2f} GB for the whole process so far",
        f"training step of {cost.batch_size}: {1000 * cost.picture_seconds:.0f} ms a picture",
    ]
    if tuple(image_size) == (64, 256):
        lines.append(
            f"the original network needs {ORIGINAL['seconds'] / cost.step_seconds:.0f} times the "
            f"time, {ORIGINAL['gigabytes'] / cost.gigabytes:.0f} times the memory and "
            f"{ORIGINAL['gflop'] / cost.gflop:.0f} times the operations (it took at least "
            f"{ORIGINAL['seconds']:.0f} s, {ORIGINAL['gigabytes']} GB, "
            f"{ORIGINAL['gflop']:.0f} GFLOP)"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Check shapes on random data and print the cost."""
    parser = argparse.ArgumentParser(prog="python -m ddpmlib.unet", description=main.__doc__)
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(64, 256), metavar=("HEIGHT", "WIDTH")
    )
    arguments = parser.parse_args(argv)
    network = UNetConfig()
    try:
        network.check_image_size(arguments.image_size)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    x_t = torch.randn(2, 1, *arguments.image_size)
    with torch.no_grad():
        shape = UNet(network)(x_t, torch.rand(2)).shape
    print(f"in {tuple(x_t.shape)}, out {tuple(shape)}")
    print(describe(measure(tuple(arguments.image_size), network), arguments.image_size))


def training_step(state: TrainState, batch_size: int) -> Callable[[], None]:
    """A real training step on random pictures: loss, gradients, clipping, optimizer, average."""
    model = state.model
    device = next(model.network.parameters()).device
    # Not zeros: their vanishing gradients become denormal numbers, which slow Adam tenfold.
    x_0 = torch.rand(batch_size, 1, *model.params.image_size, device=device) * 2 - 1
    t = torch.randint(model.noise_steps, (batch_size,))

    def step() -> None:
        inputs = x_0, t, torch.randn_like(x_0), model.alpha_bar, model.target
        diffusion.training_loss(model.predict, *inputs).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.ema.update_parameters(model.network)

    return step


def _seconds(state: TrainState, batch_size: int) -> float:
    """Median time of a training step."""
    step, seconds = training_step(state, batch_size), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
