"""Training on several processes: from a notebook, or as a command on one machine or many.

`accelerate launch -m ddpmlib train --dataset voices.npy --max-minutes 60` does what notebook 03
does with these parameters.
"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator

import torch

from ddpmlib.data.dataset import SpectrogramSet, open_splits
from ddpmlib.data.manifest import little_data
from ddpmlib.models.devices import PATIENCE, check_processes, forget_accelerator
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.paths import data_folder
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.interrupts import outliving_the_server
from ddpmlib.training.loop import train
from ddpmlib.training.progress import TrainingLines


def open_data(config: TrainConfig) -> tuple[SpectrogramSet, SpectrogramSet]:
    """Training and validation data of a config.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet` and `TrainConfig.check_data`.
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

    check_processes(config.batch_size, num_processes)
    open_data(config)
    forget_accelerator()
    # A port on which the processes agree by themselves: the default one is often taken.
    meeting = {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "rdzv_id": config.name}
    try:
        with _quiet_elastic(), outliving_the_server():
            notebook_launcher(_train_fork, (config, network, resume), num_processes, **meeting)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        reason = failure.message  # of a process that raised, a dict with its traceback
        reason = reason["message"] if isinstance(reason, dict) else reason
        raise RuntimeError(f"process {rank} of {num_processes}: {reason}") from None
    except SignalException:
        raise KeyboardInterrupt("stopped; checkpoint of the last step is saved") from None


@contextlib.contextmanager
def _quiet_elastic() -> Iterator[None]:
    """Keep torch's launcher from printing tracebacks, and restore the kernel's signal handlers."""
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
    # More threads would wait forever for those of the kernel, which a fork does not inherit.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else accelerate raises it again
    train_from_config(config, network, resume)


def train_from_config(config: TrainConfig, network: UNetConfig | None, resume: bool) -> None:
    """Train on the data of a config, in `data/runs/NAME/`, printing lines.

    Raises:
        FileNotFoundError, ValueError: see `open_data` and `loop.train`.
    """
    from accelerate import PartialState

    # One process of each machine downloads what comes from a bucket; the others find it there.
    here = PartialState(cpu=config.device == "cpu", timeout=PATIENCE)
    with here.local_main_process_first():
        data, validation = open_data(config)
        if here.is_main_process and (advice := little_data(data.seconds)):
            print(advice)
    folder = data_folder() / "runs" / config.name
    train(config, data, validation, folder, network, resume, TrainingLines())


def train_and_end(configure: Callable[[], TrainConfig], width: int, resume: bool) -> None:
    """`train_from_config` as a command: what fails is one sentence, and exit code 1.

    Args:
        configure: makes the configuration, or raises.
        width: of a network that begins with random weights.

    Raises:
        SystemExit: of a process that trains alone, if there is trouble.
    """
    try:
        config = configure()
        network = None if config.init_from else UNetConfig(width=width)
        train_from_config(config, network, resume)
    except (ValueError, OSError, FloatingPointError, KeyboardInterrupt) as error:
        end_process(str(error) or "interrupted")
    end_process("")


def end_process(trouble: str) -> None:
    """End a command: exit code 1 with the sentence `trouble`, 0 if it is empty.

    One of several processes ends without taking Python down: threads of torch may still need it,
    see `loop._ALIVE`.

    Raises:
        SystemExit: of a process that trains alone, if there is trouble.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        print(trouble, end="\n" if trouble else "", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(bool(trouble))
    if trouble:
        raise SystemExit(trouble)
