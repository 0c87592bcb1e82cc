"""Where and how precisely to compute."""

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "bfloat16", "float32")


def pick_device(name: str) -> str:
    """Where to compute: "auto" is cuda or mps where there is one, else cpu.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name not in DEVICES:
        raise ValueError(f"device is {name!r}; needed: {', '.join(DEVICES)}")
    if name == "auto":
        return next((device for device, here in available.items() if here), "cpu")
    if not available.get(name, True):
        raise ValueError(f"device is {name!r}, which this machine lacks; use auto or cpu")
    return name


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """Mixed precision: "bfloat16", "float32" (off), or "auto", bfloat16 where it is the faster.

    Raises:
        ValueError: another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; needed: {', '.join(PRECISIONS)}")
    fast = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device.type))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Without instructions for it, bfloat16 on a processor is slower than float32.
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()
