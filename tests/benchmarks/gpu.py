"""`python tests/benchmarks/gpu.py`: training on the GPU that is here, and how near to its limit.

Prints one table: mel-spectrograms a second and share of the limit for each batch, eager and
compiled, and what eight such GPUs would reach on paper.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from training import GPUS, LINKS, ring_seconds

from ddpmlib.models.devices import autocast, pick_device
from ddpmlib.models.profile import gflop, training_step
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import DEFAULT

BATCHES, WIDTHS, STEPS = (16, 64, 256), (32, 64), 20
SIZE = 8192  # of the matrices whose product is the limit


def seconds(work: Callable[[], None], device: torch.device, steps: int) -> float:
    """Median of a call, after three that do not count."""
    found = []
    for turn in range(3 + steps):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        if turn >= 3:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def limit(device: torch.device, size: int, steps: int) -> float:
    """Operations a second of a large product of matrices, in the precision of training."""
    a = torch.randn(size, size, device=device)
    with torch.no_grad(), autocast(device):
        a = a @ a  # in half the bytes from here on, where that is the precision
        return 2 * size**3 / seconds(lambda: a @ a, device, steps)


def step_seconds(
    device: torch.device, width: int, batch_size: int, compiled: bool, steps: int
) -> float:
    """One training step; the data are on the device already, and the loss stays there."""
    network = UNetConfig(width).build().to(device, memory_format=torch.channels_last)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if compiled:
        torch.compiler.reset()  # else a second batch size is compiled for any size
        network.compile()
    return seconds(training_step(network, DEFAULT.image_size, batch_size), device, steps)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="default: cuda; cpu tries the script out")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--no-compile", action="store_true")
    chosen = parser.parse_args(argv)
    try:
        device = torch.device(pick_device(chosen.device))
    except ValueError as error:
        raise SystemExit(str(error)) from None
    peak = limit(device, chosen.size, chosen.steps)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(f"{name}, torch {torch.__version__}: {peak / 1e12:.3g} TFLOP/s in products of matrices\n")
    columns = ("width", "batch", "compiled", "ms a step", "mel-spectrograms a second")
    columns += ("share of the limit", "GB", *(f"{GPUS} GPUs on paper: {link}" for link in LINKS))
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    kinds = (False,) if chosen.no_compile else (False, True)
    for width, batch, compiled in itertools.product(chosen.widths, chosen.batches, kinds):
        try:
            step = step_seconds(device, width, batch, compiled, chosen.steps)
        except torch.OutOfMemoryError:
            print(f"| {width} | {batch} | {compiled} | out of memory |")
            continue
        share = 3 * gflop(UNetConfig(width).build(), DEFAULT.image_size) * 1e9 * batch / step / peak
        held = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0
        paper = [GPUS * batch / (step + ring_seconds(width, link)) for link in LINKS]
        figures = [f"{1000 * step:.2f}", f"{batch / step:.0f}", f"{share:.3f}", f"{held:.2f}"]
        cells = [width, batch, compiled, *figures, *(f"{rate:.0f}" for rate in paper)]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


if __name__ == "__main__":
    main()
