"""`python -m ddpmlib.unet`: what a network costs, and that it is as small as it should be."""

import re
import subprocess
import sys

import pytest

from ddpmlib import cost
from ddpmlib.unet import UNetConfig

TINY = UNetConfig(width=8, multipliers=(1, 2), heads=2)


def test_module_prints_shapes_and_cost_within_a_twentieth_of_the_memory():
    done = subprocess.run(
        [sys.executable, "-m", "ddpmlib.unet"], capture_output=True, text=True, check=True
    )
    assert "in (2, 1, 64, 256), out (2, 1, 64, 256)" in done.stdout
    millions = float(re.search(r"([\d.]+) million parameters", done.stdout)[1])
    gigabytes = float(re.search(r"([\d.]+) GB for the whole process", done.stdout)[1])
    assert 2 < millions < 4
    assert gigabytes < cost.ORIGINAL["gigabytes"] / 20
    assert re.search(r"original network needs \d+ times the time", done.stdout)


def test_module_names_the_size_needed():
    with pytest.raises(SystemExit, match=r"\(60, 250\).*multiples of 8, such as \(64, 248\)"):
        cost.main(["--image-size", "60", "250"])


def test_more_work_is_counted_as_more():
    small = cost.measure((16, 32), TINY, batch_size=2)
    wide = cost.measure((16, 64), TINY, batch_size=2)
    assert small.parameters == wide.parameters
    assert wide.gflop > 1.9 * small.gflop
    assert small.step_seconds > 0
    assert "original" not in cost.describe(small, (16, 32))


def test_memory_of_the_parent_process_is_not_counted():
    held = bytearray(1_000_000_000)
    held[::4096] = b"x" * len(held[::4096])  # touched, so that it is resident
    code = "from ddpmlib.cost import peak_gigabytes; print(peak_gigabytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.05 < float(done.stdout) < 0.6
