"""Devices and precisions are picked, or refused by name."""

import pytest
import torch

from ddpmlib.models import devices


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="precision is 'half'; needed: auto, bfloat16, float32"):
        devices.autocast(torch.device("cpu"), "half")


@pytest.mark.parametrize(
    ("amx", "avx512", "vendor", "expected"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),  # slower than float32 there
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
        (False, False, "", False),
    ],
)
def test_bfloat16_is_used_where_it_is_the_faster(
    amx, avx512, vendor, expected, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(devices, "PROCESSORS", tmp_path / "cpuinfo")
    if vendor:  # else not Linux
        devices.PROCESSORS.write_text(f"processor : 0\nvendor_id : {vendor}\n")
    assert devices._has_bfloat16.__wrapped__("cpu") is expected
    assert devices._has_bfloat16.__wrapped__("mps") is False


def test_devices_are_picked_or_refused_by_name():
    assert devices.pick_device("cpu") == "cpu"
    assert devices.pick_device("auto") in devices.DEVICES[1:]
    with pytest.raises(ValueError, match="device is 'gpu'; needed: auto, cpu, cuda, mps"):
        devices.pick_device("gpu")
    absent = [d for d in ("cuda", "mps") if devices.pick_device("auto") != d]
    with pytest.raises(ValueError, match=f"device is '{absent[0]}', which this machine lacks"):
        devices.pick_device(absent[0])
