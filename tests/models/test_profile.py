"""What a network costs, and `python -m ddpmlib.models.unet`, which checks the default one."""

import os
import re
import runpy
import subprocess
import sys

import pytest

from ddpmlib.models import profile
from ddpmlib.models.unet import UNetConfig

TINY = UNetConfig(width=8, multipliers=(1, 2), heads=2)
ONE_STEP = """
from ddpmlib.models import profile, unet
profile.REPEATS = 1
print(unet.check())
"""


def test_the_check_prints_shapes_and_a_profile_within_a_twentieth_of_the_memory():
    held = bytearray(1_000_000_000)
    held[::4096] = b"x" * len(held[::4096])  # touched, so that it is resident: not counted
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_STEP],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "in (2, 1, 64, 256), out (2, 1, 64, 256)" in done.stdout
    millions = float(re.search(r"([\d.]+) million parameters", done.stdout)[1])
    gigabytes = float(re.search(r"([\d.]+) GB for the whole process", done.stdout)[1])
    assert 2 < millions < 4
    assert 0.05 < gigabytes < profile.BASELINE["gigabytes"] / 20
    assert re.search(r"baseline network needs \d+ times the time", done.stdout)


def run_module(monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["unet", *options])
    monkeypatch.delitem(sys.modules, "ddpmlib.models.unet")  # runpy warns of one imported before
    runpy.run_module("ddpmlib.models.unet", run_name="__main__")


def test_the_module_runs_the_check(monkeypatch, capsys):
    monkeypatch.setattr(profile, "REPEATS", 1)
    run_module(monkeypatch, "--image-size", "16", "32")
    assert "in (2, 1, 16, 32), out (2, 1, 16, 32)" in capsys.readouterr().out


def test_the_module_names_the_size_needed(monkeypatch):
    with pytest.raises(SystemExit, match=r"\(60, 250\).*multiples of 8, such as \(64, 248\)"):
        run_module(monkeypatch, "--image-size", "60", "250")


def test_more_work_is_counted_as_more(monkeypatch):
    monkeypatch.setattr(profile, "REPEATS", 1)
    small, wide = (
        profile.profile_network(TINY.build(), size, batch_size=2) for size in ((16, 32), (16, 64))
    )
    assert small.parameters == wide.parameters
    assert wide.gflop > 1.9 * small.gflop
    assert small.step_seconds > 0
    assert "baseline" not in profile.describe(small, (16, 32))
