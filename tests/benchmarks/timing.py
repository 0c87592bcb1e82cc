"""Fair timing: contenders take turns, each in a process of its own; ratios are those of a round."""

import contextlib
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

Work = Callable[[], None]  # what one turn does; made once, in the contender's process
PACKAGES = ("torch", "numpy", "scipy", "librosa", "diffusers")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
ONE_THREAD["VECLIB_MAXIMUM_THREADS"] = "1"  # macOS


@dataclass
class Turns:
    """What was measured of one contender."""

    seconds: list[float] = field(default_factory=list)  # of each turn
    gigabytes: float = 0.0  # most memory of its process, Python and libraries included
    idle: float = 0.0  # the same before its first turn

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def take_turns(
    contenders: dict[str, tuple], rounds: int, warm_up: int = 1, one_core: bool = False
) -> dict[str, Turns]:
    """Seconds of each contender, A B C A B C ..., so that a slow minute slows all of them.

    Args:
        contenders: name -> (function of a module, its arguments ...); the function is called once
            in a new process and returns the `Work` that is timed.
        warm_up: rounds that do not count.
        one_core: every library gets one thread.
    """
    fresh = multiprocessing.get_context("spawn")
    turns = {name: Turns() for name in contenders}
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(ONE_THREAD if one_core else {}))
        pools = {}
        for name, made in contenders.items():
            pool = ProcessPoolExecutor(1, fresh, _make, made)
            pools[name] = stack.enter_context(pool)
        for turn in range(warm_up + rounds):
            for name, pool in pools.items():
                try:
                    seconds, before, turns[name].gigabytes = pool.submit(_turn).result()
                except BrokenProcessPool:
                    raise SystemExit(f"{name} died: see above, or it ran out of memory") from None
                turns[name].idle = turns[name].idle or before
                if turn >= warm_up:
                    turns[name].seconds.append(seconds)
    return turns


@contextlib.contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """Of the processes that start meanwhile."""
    before = dict(os.environ)
    os.environ.update({"TQDM_DISABLE": "1"} | changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def ratio(other: Turns, ours: Turns) -> float:
    """How many times as long as ours the other took: median of the ratios of each round."""
    pairs = zip(other.seconds, ours.seconds, strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)


def precision() -> str:
    """What `auto` is on this processor: the one that is the faster."""
    import torch

    from ddpmlib.models.devices import autocast

    with autocast(torch.device("cpu")):
        return "bfloat16" if torch.is_autocast_enabled("cpu") else "float32"


def machine() -> dict[str, str]:
    """Where and with what: date, processor, versions."""
    import torch

    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "date": str(date.today()),
        "processor": f"{multiprocessing.cpu_count()} cores, {model}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {memory:.0f} GB, trains in {precision()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{package} {version(package)}" for package in PACKAGES]
        ),
    }


_WORK: list[Work] = []  # of this process


def _make(function: Callable[..., Work], *arguments) -> None:
    _WORK.append(function(*arguments))


def _turn() -> tuple[float, float, float]:
    from ddpmlib.models.profile import peak_gigabytes

    before, start = peak_gigabytes(), time.perf_counter()
    _WORK[0]()
    return time.perf_counter() - start, before, peak_gigabytes()
