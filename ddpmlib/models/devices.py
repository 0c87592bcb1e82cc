"""Device, precision and processes of a computation."""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "bfloat16", "float32")
# Devices for which the network is compiled when its training begins, which counts as training. On
# one busy core that took two minutes for a tiny network, a third of a whole `make demo`.
COMPILES = ("cuda",)
# For which processes wait for each other, as they do while the main one validates, samples or
# uploads; torch's own ten minutes on GPUs are too few for that.
PATIENCE = timedelta(hours=2)
PROCESSORS = Path("/proc/cpuinfo")  # of Linux


def pick_device(name: str) -> str:
    """Where to compute: "auto" is cuda or mps where there is one, else cpu.

    Raises:
        ValueError: unknown, or not on this machine.
    """
    if name not in DEVICES:
        raise ValueError(f"device is {name!r}; needed: {', '.join(DEVICES)}")
    if name == "cpu":  # a process that has asked for GPUs cannot fork any that use them
        return name
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next((device for device, here in available.items() if here), "cpu")
    if not available[name]:
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


@functools.cache
def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu" or torch.cpu._is_amx_tile_supported():
        return device == "cpu"
    # AVX512 alone does not do: an Intel without AMX (or whose AMX is hidden from a rented machine)
    # takes 1.6 times as long for a training step as in float32. An AMD is the faster for it.
    amd = PROCESSORS.exists() and "AuthenticAMD" in PROCESSORS.read_text()
    return amd and torch.cpu._is_avx512_bf16_supported()


def check_processes(batch_size: int, processes: int) -> None:
    """Refuse a batch that does not divide evenly, with a ValueError that names both numbers."""
    if processes < 1 or batch_size % processes:
        raise ValueError(
            f"batch_size is {batch_size}; it must be a multiple of the {processes} processes"
        )


def make_accelerator(device: str, run_folder: Path):
    """Device and processes of a training run, with a log for TensorBoard where it is installed."""
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import PartialState

    compiles = pick_device(device) in COMPILES
    if PartialState._shared_state and PartialState().num_processes == 1:
        forget_accelerator()
    tracker = "tensorboard" if importlib.util.find_spec("tensorboard") else None
    # Precision is ours (`autocast`): sampling and validation need the same, outside of it.
    options = {"mixed_precision": "no", "log_with": tracker, "project_dir": run_folder}
    options["kwargs_handlers"] = [InitProcessGroupKwargs(timeout=PATIENCE)]
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


def total(accelerator, value: float) -> float:
    """Sum over all processes, so that all save and stop at the same step."""
    if accelerator.num_processes == 1:
        return value
    value = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
    return accelerator.reduce(value, "sum").item()


def on_main(accelerator, work: Callable, *args):
    """Call `work` on the main process only, while the others wait; returns None on them.

    Raises:
        Exception: that of `work`; on the other processes a ConnectionError with its message.
    """
    result, error, processes = None, None, accelerator.num_processes
    if accelerator.is_main_process:
        try:
            result = work(*args)
        except Exception as caught:
            error = caught
    trouble = (str(error) or type(error).__name__) if error else ""
    if processes > 1 and (trouble := broadcast(accelerator, trouble)) and not error:
        raise ConnectionError(f"process 0 of {processes}: {trouble}")
    if error:
        raise error
    return result


@contextlib.contextmanager
def missing_the_others(accelerator) -> Iterator[None]:
    """Say in one sentence that another process is gone, where torch names lines of its own source.

    Raises:
        ConnectionError: another one has ended, or did not answer for PATIENCE.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.distributed.DistError) or "gloo/" in str(error)):
            raise
        minutes, ours = PATIENCE.total_seconds() / 60, accelerator.process_index
        what = f"did not answer for {minutes:g} min" if "imed out" in str(error) else "has ended"
        raise ConnectionError(
            f"process {ours} of {accelerator.num_processes}: another one {what}; its own message "
            "says why"
        ) from None


def forget_accelerator() -> None:
    """accelerate keeps the first device of a process for good; a notebook may need another one."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
