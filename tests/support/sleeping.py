"""A contender for tests of the benchmarks' turns; imports nothing that takes time."""

import time
from collections.abc import Callable
from pathlib import Path


def sleeping(seconds: float, log: Path, megabytes: int) -> Callable[[], None]:
    """Work that holds so much memory, logs its size, and sleeps."""
    held = bytearray(megabytes << 20)

    def work() -> None:
        with log.open("a") as lines:
            lines.write(f"{len(held) >> 20}\n")
        time.sleep(seconds)

    return work
