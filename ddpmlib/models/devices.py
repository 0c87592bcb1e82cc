"""Device, precision and processes of a computation."""

import importlib.util
from pathlib import Path

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "bfloat16", "float32")
# Devices for which the network is compiled when its training begins, which counts as training. On
# one busy core that took two minutes for a tiny network, a third of a whole `make demo`.
COMPILES = ("cuda",)


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


def check_processes(batch_size: int, processes: int) -> None:
    """Refuse a batch that does not divide evenly, with a ValueError that names both numbers."""
    if processes < 1 or batch_size % processes:
        raise ValueError(
            f"batch_size is {batch_size}; it must be a multiple of the {processes} processes"
        )


def make_accelerator(device: str, run_folder: Path):
    """Device and processes of a training run, with a log for TensorBoard where it is installed."""
    from accelerate import Accelerator
    from accelerate.state import PartialState

    compiles = pick_device(device) in COMPILES
    if PartialState._shared_state and PartialState().num_processes == 1:
        forget_accelerator()
    tracker = "tensorboard" if importlib.util.find_spec("tensorboard") else None
    # Precision is ours (`autocast`): sampling and validation need the same, outside of it.
    options = {"mixed_precision": "no", "log_with": tracker, "project_dir": run_folder}
    if compiles:
        import torch._dynamo

        # Where compiling fails (no Triton, no compiler of C), torch says so, and the network runs
        # as it is. Without the reset, a second batch size would be compiled for any size.
        torch._dynamo.config.suppress_errors = True
        torch.compiler.reset()
        options["dynamo_backend"] = "inductor"
    return Accelerator(cpu=device == "cpu", **options)


def broadcast(accelerator, value):
    """A value of the main process, on all of them."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def forget_accelerator() -> None:
    """accelerate keeps the first device of a process for good; a notebook may need another one."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
