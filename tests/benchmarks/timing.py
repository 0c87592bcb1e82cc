"""Fair timing: contenders take turns, each in a process of its own; ratios are those of a round."""

import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

Work = Callable[[], None]  # what one turn does; made once, in the contender's process


@dataclass
class Turns:
    """What was measured of one contender."""

    seconds: list[float] = field(default_factory=list)  # of each turn
    gigabytes: float = 0.0  # most memory of its process, Python and libraries included

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def take_turns(contenders: dict[str, tuple], rounds: int, warm_up: int = 1) -> dict[str, Turns]:
    """Seconds of each contender, A B C A B C ..., so that a slow minute slows all of them.

    Args:
        contenders: name -> (function of a module, its arguments ...); the function is called once
            in a new process and returns the `Work` that is timed.
        warm_up: rounds that do not count.
    """
    fresh = multiprocessing.get_context("spawn")
    pools = {name: ProcessPoolExecutor(1, fresh, _make, made) for name, made in contenders.items()}
    turns = {name: Turns() for name in contenders}
    try:
        for turn in range(warm_up + rounds):
            for name, pool in pools.items():
                seconds, turns[name].gigabytes = pool.submit(_turn).result()
                if turn >= warm_up:
                    turns[name].seconds.append(seconds)
    finally:
        for pool in pools.values():
            pool.shutdown()
    return turns


def ratio(other: Turns, ours: Turns) -> float:
    """How many times as long as ours the other took: median of the ratios of each round."""
    pairs = zip(other.seconds, ours.seconds, strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)


def machine() -> dict[str, str]:
    """Where and with what: date, processor, versions."""
    import librosa
    import torch

    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    fast = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    return {
        "date": str(date.today()),
        "processor": f"{multiprocessing.cpu_count()} cores, {model}, "
        f"{torch.backends.cpu.get_cpu_capability()}, trains in {fast}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"librosa {librosa.__version__}",
    }


_WORK: list[Work] = []  # of this process


def _make(function: Callable[..., Work], *arguments) -> None:
    _WORK.append(function(*arguments))


def _turn() -> tuple[float, float]:
    from ddpmlib.cost import peak_gigabytes

    start = time.perf_counter()
    _WORK[0]()
    return time.perf_counter() - start, peak_gigabytes()
