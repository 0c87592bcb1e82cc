"""Training on several processes: from a notebook, or as a command on one machine or many.

`accelerate launch -m ddpmlib.training --dataset voices.npy --max-minutes 60` does what notebook 03
does with these parameters.
"""

import argparse
import dataclasses
import importlib.util
import socket
from pathlib import Path

from ddpmlib.config import TrainConfig
from ddpmlib.dataset import GCPSpectrogramSet, SpectrogramSet
from ddpmlib.ddpm import pick_device
from ddpmlib.storage import data_folder
from ddpmlib.unet import UNetConfig


def open_data(config: TrainConfig) -> tuple[SpectrogramSet, SpectrogramSet]:
    """Training and validation pictures that a config names, from its bucket or data/spectrograms/.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet`; image_size or batch_size do not fit.
    """
    if config.bucket_name:
        place = config.dataset, config.bucket_name
        sets = GCPSpectrogramSet(*place), GCPSpectrogramSet(*place, split="validation")
    else:
        path = f"spectrograms/{config.dataset}"
        sets = SpectrogramSet(path), SpectrogramSet(path, "validation")
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
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    check_processes(config, num_processes)
    open_data(config)
    _forget_accelerator()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    try:
        notebook_launcher(_train_fork, (config, network, resume), num_processes, use_port=port)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        reason = f"process {failure.global_rank} of {num_processes}: {failure.message}"
        raise RuntimeError(reason) from None


def _train_fork(config: TrainConfig, network: UNetConfig, resume: bool) -> None:
    import torch
    from torch.distributed.elastic.multiprocessing.errors import record

    # More threads would wait forever for those of the kernel, which a fork does not inherit.
    torch.set_num_threads(1)
    record(_train)(config, network, resume)


def _train(config: TrainConfig, network: UNetConfig, resume: bool) -> None:
    from ddpmlib.listen import TrainingLines
    from ddpmlib.training import train

    folder = data_folder() / "runs" / config.name
    train(config, *open_data(config), folder, network, resume, TrainingLines())


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
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    values = vars(parser.parse_args(argv))
    resume = values.pop("resume")
    try:
        _train(TrainConfig(**values), UNetConfig(), resume)
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt as error:
        raise SystemExit(f"{error or 'interrupted'}") from None


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

    pick_device(config.device)
    if PartialState._shared_state and PartialState().num_processes == 1:
        _forget_accelerator()
    tracker = "tensorboard" if importlib.util.find_spec("tensorboard") else None
    # Precision is ours (ddpm.autocast): sampling and validation need the same, outside of it.
    return Accelerator(
        cpu=config.device == "cpu", mixed_precision="no", log_with=tracker, project_dir=run_folder
    )


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
