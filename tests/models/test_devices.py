"""Devices and precisions are picked, or refused by name."""

import pytest
import torch

from ddpmlib.models import devices


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="precision is 'half'; needed: auto, bfloat16, float32"):
        devices.autocast(torch.device("cpu"), "half")


def test_devices_are_picked_or_refused_by_name():
    assert devices.pick_device("cpu") == "cpu"
    assert devices.pick_device("auto") in devices.DEVICES[1:]
    with pytest.raises(ValueError, match="device is 'gpu'; needed: auto, cpu, cuda, mps"):
        devices.pick_device("gpu")
    absent = [d for d in ("cuda", "mps") if devices.pick_device("auto") != d]
    with pytest.raises(ValueError, match=f"device is '{absent[0]}', which this machine lacks"):
        devices.pick_device(absent[0])
