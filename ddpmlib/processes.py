"""Training on several processes: from a notebook, or as a command on one machine or many.

`accelerate launch -m ddpmlib.training --dataset voices.npy --max-minutes 60` does what notebook 03
does with these parameters.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet, open_splits
from ddpmlib.devices import pick_device
from ddpmlib.storage import data_folder
from ddpmlib.unet import UNetConfig

# Devices for which the network is compiled when its training begins, which counts as training. On
# one busy core that took two minutes for a tiny network, a third of a whole `make demo`.
COMPILES = ("cuda",)


def open_data(config: TrainConfig) -> tuple[SpectrogramSet, SpectrogramSet]:
    """Pictures to train and to validate that a config names.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet`; image_size or batch_size do not fit.
    """
    sets = open_splits(config.dataset, config.bucket_name, config.condition)
    config.check_data(*sets)
    return sets


def launch(num_processes: int, config: TrainConfig, network: UNetConfig, resume: bool) -> None:
    """`train` on several processes of this machine, one for each GPU, from a notebook.

    They are forks of the notebook's kernel, which must not have used a GPU before.

    Raises:
        ValueError: see `open_data`; batch_size is not a multiple of the processes.
        RuntimeError: a process failed; says why.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint written.
    """
    from accelerate import notebook_launcher
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    check_processes(config, num_processes)
    open_data(config)
    _forget_accelerator()
    # A port that the processes agree on by themselves: the default one is often taken.
    meeting = {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "rdzv_id": config.name}
    try:
        with _quiet_elastic():
            notebook_launcher(_train_fork, (config, network, resume), num_processes, **meeting)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        reason = failure.message  # of a process that raised, a dict with its traceback
        reason = reason["message"] if isinstance(reason, dict) else reason
        raise RuntimeError(f"process {rank} of {num_processes}: {reason}") from None
    except SignalException:
        raise KeyboardInterrupt("stopped; the state of the last step is saved") from None


@contextlib.contextmanager
def _quiet_elastic() -> Iterator[None]:
    """Keep torch's launcher from printing tracebacks, and from keeping the kernel's signals."""
    log = logging.getLogger("torch.distributed.elastic")
    level, log.level = log.level, logging.CRITICAL
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    handlers = {name: signal.getsignal(name) for name in names}
    try:
        yield
    finally:
        log.level = level
        for name, handler in handlers.items():
            signal.signal(name, handler)


def _train_fork(config: TrainConfig, network: UNetConfig, resume: bool) -> None:
    import torch

    # More threads would wait forever for those of the kernel, which a fork does not inherit.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else accelerate raises it again
    _train(config, network, resume)


def _train(config: TrainConfig, network: UNetConfig | None, resume: bool) -> None:
    from accelerate import PartialState

    from ddpmlib.progress import TrainingLines
    from ddpmlib.training import train

    # One process of each machine downloads what comes from a bucket; the others find it there.
    with PartialState(cpu=config.device == "cpu").local_main_process_first():
        data, validation = open_data(config)
    folder = data_folder() / "runs" / config.name
    train(config, data, validation, folder, network, resume, TrainingLines())


def main(argv: list[str] | None = None) -> None:
    """The command `python -m ddpmlib.training`."""
    parser = argparse.ArgumentParser(prog="python -m ddpmlib.training", description=__doc__)
    for field in dataclasses.fields(TrainConfig):
        kind = {"image_size": int, "max_minutes": float}.get(field.name, type(field.default))
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            nargs=2 if field.name == "image_size" else None,
            default=field.default,
            help=f"default: {field.default}",
        )
    parser.add_argument("--width", type=int, default=32, help="of the network, default: 32")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    values = vars(parser.parse_args(argv))
    resume, width = values.pop("resume"), values.pop("width")
    trouble = ""
    try:
        config = TrainConfig(**values)
        _train(config, None if config.init_from else UNetConfig(width=width), resume)
    except (ValueError, OSError, FloatingPointError, KeyboardInterrupt) as error:
        trouble = str(error) or "interrupted"
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        # Without taking Python down: threads of torch may still need it, see training._KEPT.
        print(trouble, end="\n" * bool(trouble), file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(bool(trouble))
    if trouble:
        raise SystemExit(trouble)


def check_processes(config: TrainConfig, processes: int) -> None:
    """Refuse a batch that does not divide evenly, with a ValueError that names both numbers."""
    if processes < 1 or config.batch_size % processes:
        raise ValueError(
            f"batch_size is {config.batch_size}; it must be a multiple of the {processes} processes"
        )


def make_accelerator(config: TrainConfig, run_folder: Path):
    """Device and processes of a training, with a log for TensorBoard where it is installed."""
    from accelerate import Accelerator
    from accelerate.state import PartialState

    compiles = pick_device(config.device) in COMPILES
    if PartialState._shared_state and PartialState().num_processes == 1:
        _forget_accelerator()
    tracker = "tensorboard" if importlib.util.find_spec("tensorboard") else None
    # Precision is ours (devices.autocast): sampling and validation need the same, outside of it.
    options = {"mixed_precision": "no", "log_with": tracker, "project_dir": run_folder}
    if compiles:
        import torch._dynamo

        # Where compiling fails (no Triton, no compiler of C), torch says so, and the network runs
        # as it is. Without the reset, a second batch size would be compiled for any size.
        torch._dynamo.config.suppress_errors = True
        torch.compiler.reset()
        options["dynamo_backend"] = "inductor"
    return Accelerator(cpu=config.device == "cpu", **options)


def broadcast(accelerator, value):
    """A value of the main process, on all of them."""
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def _forget_accelerator() -> None:
    """It keeps the first device of a process for good; a notebook may ask for another one."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
