"""Several processes train like one: from a notebook, as a command, and on several machines."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch.distributed
from tiny import (
    EPOCHS,
    NETWORK,
    STEPS,
    Child,
    checkpoint,
    fit,
    tiny_config,
    write_conditions,
    write_data,
)

from ddpmlib.__main__ import main
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models import devices
from ddpmlib.models.condition import TextCondition
from ddpmlib.models.devices import forget_accelerator
from ddpmlib.training import distributed, progress
from ddpmlib.training.run_directory import read_metrics

OPTIONS = "--image-size 8 16 --batch-size 4 --noise-steps 20 --num-samples 0 --warmup-steps 3"
COMMAND = f"--dataset tiny.npy --device cpu --precision float32 {OPTIONS}".split()


@pytest.fixture
def workbook(tmp_path, monkeypatch) -> Path:
    """A workbook with tiny data, as the current folder."""
    monkeypatch.chdir(new_workbook(tmp_path))
    return tmp_path


def new_workbook(folder: Path) -> Path:
    (folder / "data" / "spectrograms").mkdir(parents=True)
    (folder / "data" / "README.md").write_text("here")
    write_data(folder / "data" / "spectrograms")
    return folder


def losses(run: Path) -> list[float]:
    return [row[n] for row in read_metrics(run) for n in ("train_loss", "validation_loss")]


def accelerate(workbook: Path, *arguments, machine=0, machines=1, port=0) -> subprocess.Popen:
    """Start `accelerate launch -m ddpmlib train` with two processes in all.

    --multi_gpu is its word for several processes; --device cpu is ours, and decides.
    """
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", 2, "--num_machines", machines, "--machine_rank", machine]
    launch += ["--main_process_ip", "127.0.0.1", "--main_process_port", port]
    command = [*launch, "-m", "ddpmlib", "train", *COMMAND, *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(list(map(str, command)), cwd=workbook, **options)


def together(work: Callable[[int], None]) -> list[Child]:
    """Two processes under the environment variables of a launcher; each calls work(rank)."""
    port = free_port()

    def run(rank: int) -> None:
        places = {"RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in places.items()} | {"WORLD_SIZE": "2"}
        forget_accelerator()
        work(rank)

    return [Child(partial(run, rank)) for rank in range(2)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("condition", [pytest.param("", marks=pytest.mark.slow), "text"])
def test_two_processes_from_a_notebook_train_like_one(condition, workbook):
    """The kernel has computed on several threads before, and trains by itself afterwards."""
    folder = workbook / "data" / "spectrograms"
    write_conditions(folder / "tiny.npy", text=(TextCondition(2, "ab"), ["ab", "ba", None] * 7))
    fit(folder, "before")
    changes = {"condition": condition, "condition_dropout": 0.5, "learning_rate": 2e-3}
    distributed.launch(2, tiny_config(name="two", **changes), NETWORK, resume=True)
    fit(folder, "alone", **changes)
    two, alone = workbook / "data" / "runs" / "two", folder / "alone"
    assert losses(two) == pytest.approx(losses(alone), abs=1e-5)
    assert len(losses(two)) == 2 * EPOCHS
    assert len(list((two / "samples").iterdir())) == 4 * EPOCHS


def own_handler(*_) -> None:
    """A handler that no launcher would set."""


def test_a_fault_in_a_process_is_one_sentence_and_leaves_signals_alone(workbook):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, own_handler) for number in numbers]
    distributed.launch(2, tiny_config(name="two", epochs=1), NETWORK, resume=True)
    with pytest.raises(RuntimeError, match=r"process 0 of 2: .*runs/two holds a run") as caught:
        distributed.launch(2, tiny_config(name="two"), NETWORK, resume=False)
    assert "\n" not in str(caught.value)
    found = [signal.signal(*pair) for pair in zip(numbers, before, strict=True)]
    assert found == [own_handler, own_handler]


@pytest.mark.parametrize("number", [0, 3])
def test_a_batch_that_does_not_divide_is_refused_before_anything_starts(workbook, number):
    with pytest.raises(ValueError, match=f"batch_size is 4; .*multiple of the {number} processes"):
        distributed.launch(number, tiny_config(), NETWORK, resume=True)
    assert not (workbook / "data" / "runs").exists()


def test_an_interrupt_from_a_notebook_saves_the_step_in_the_middle_of_an_epoch(tmp_path):
    new_workbook(tmp_path)
    write_data(tmp_path / "data" / "spectrograms", mels=40_000)

    def kernel():
        os.chdir(tmp_path)
        os.setpgid(0, 0)  # like a kernel, which is interrupted with all its children
        progress.HEARTBEAT = -1
        distributed.launch(2, tiny_config(name="two"), NETWORK, True)

    process = Child(kernel)
    for line in process.stdout:
        if "step 20," in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    _, trouble = process.communicate(timeout=60)
    assert "KeyboardInterrupt: stopped; checkpoint of the last step is saved" in trouble
    run = tmp_path / "data" / "runs" / "two"
    assert 20 <= checkpoint(run)["counters"]["step"] < 10_000
    assert read_metrics(run) == []


PRESS = """
import os, signal
from pathlib import Path
from ddpmlib.training import step_schedule
from tiny import fit
rate = step_schedule.learning_rate
def press(config, step, share):
    if step == 5 and os.environ["RANK"] == "1":
        signal.raise_signal(signal.SIGINT)
    return rate(config, step, share)
step_schedule.learning_rate = press
fit(Path(__file__).parent)
"""


def by_forks(script: Path) -> str:
    """Run a script in two forks; returns what went wrong."""
    children = together(lambda rank: exec(script.read_text(), {"__file__": str(script)}))
    return "".join([child.communicate(timeout=120)[1] for child in children])


def by_torchrun(script: Path) -> str:
    """The same in new interpreters, which end as processes of a launcher do."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    path = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*command, script], env=path, capture_output=True, text=True, timeout=120)
    return done.stderr


@pytest.mark.parametrize("run", [by_forks, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_two_processes_stop_together_and_train_like_one(run, tmp_path):
    """Ctrl-C reaches the second; one process goes on, and ends where one alone would have."""
    write_data(tmp_path)
    (tmp_path / "two.py").write_text(PRESS)
    assert "stopped after step 6; checkpoint is saved" in (trouble := run(tmp_path / "two.py"))
    assert checkpoint(tmp_path / "run")["counters"]["step"] == 6, trouble
    fit(tmp_path)
    fit(tmp_path, "alone")
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "alone"), abs=1e-5)


def test_a_second_machine_resumes_though_only_the_first_has_the_run(tmp_path, monkeypatch):
    machines = [new_workbook(tmp_path / name) for name in ("first", "second")]

    def train(rank: int) -> None:
        os.chdir(machines[rank])
        main(["train", *COMMAND, "--epochs", "2"])

    monkeypatch.chdir(machines[0])
    main(["train", *COMMAND, "--epochs", "1"])
    children = together(train)
    outputs = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert "step 8," in outputs[0][0]
    first, second = (folder / "data" / "runs" / tiny_config().name for folder in machines)
    assert checkpoint(first)["counters"]["step"] == 2 * STEPS
    assert not (second / "checkpoint.pt").exists()


def test_accelerate_launch_trains_like_one_process_and_resumes(workbook):
    for name in ("one", "two"):
        main(["train", *COMMAND, "--name", name, "--epochs", "1"])
    main(["train", *COMMAND, "--name", "one", "--epochs", "2"])
    process = accelerate(workbook, "--name", "two", "--epochs", "2")
    output = process.communicate(timeout=120)[0]
    assert (process.returncode, f"step {2 * STEPS}," in output) == (0, True), output
    two, one = workbook / "data" / "runs" / "two", workbook / "data" / "runs" / "one"
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert checkpoint(two)["counters"]["step"] == 2 * STEPS


@pytest.mark.slow
def test_accelerate_launch_trains_on_two_machines_and_resumes(tmp_path):
    machines = [new_workbook(tmp_path / name) for name in ("first", "second")]
    for epochs in (1, 2):
        port = free_port()
        started = [
            accelerate(folder, "--epochs", epochs, machine=i, machines=2, port=port)
            for i, folder in enumerate(machines)
        ]
        outputs = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], outputs
    first, second = (folder / "data" / "runs" / tiny_config().name for folder in machines)
    assert checkpoint(first)["counters"]["step"] == 2 * STEPS
    assert not (second / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--dataset", "none.npy"], 1, "spectrograms/none.npy does not exist"),
        (["--epochs", "0"], 1, "epochs is 0; it must be at least 1"),
        (["--batch-size", "0"], 1, "batch_size is 0; it must be at least 1"),
        (["--seed", "-1"], 1, "seed is -1; needed: 0 to 4294967295"),
        (["--epochs", "ten"], 2, "invalid int value: 'ten'"),
        (["--epoch-s", "1"], 2, "unrecognized arguments: --epoch-s"),
    ],
)
def test_the_command_refuses_in_one_sentence(workbook, arguments, code, sentence, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", *COMMAND, *arguments])
    if code == 2:
        assert (caught.value.code, sentence in capsys.readouterr().err) == (2, True)
    else:  # Python prints it and exits with 1
        assert sentence in caught.value.code
        assert "\n" not in caught.value.code


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("raises", "process 0 of 2: the bucket is gone"),
        ("dies", "process 1 of 2: another one has ended; its own message says why"),
        ("is late", "process 1 of 2: another one did not answer for 0.025 min; its own"),
    ],
)
def test_what_keeps_the_main_process_is_one_sentence_of_the_others(trouble, sentence, tmp_path):
    """They wait while it validates; torch names lines of its own source."""
    write_data(tmp_path)

    def loss_on(*_):
        if trouble == "raises":
            raise OSError("the bucket is gone")
        if trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(4)

    def train(rank: int) -> None:
        if trouble == "is late":
            devices.PATIENCE = timedelta(seconds=1.5)
        DDPM.loss_on = loss_on
        fit(tmp_path)

    last = [child.communicate(timeout=120)[1].strip() for child in together(train)][1]
    assert last.splitlines()[-1].startswith(f"ConnectionError: {sentence}")
    assert "gloo" not in last.splitlines()[-1]


def test_processes_wait_longer_than_torch_lets_them(workbook):
    """Where their group is opened, whichever way that is."""
    write_data(workbook)
    opened = torch.distributed.init_process_group

    def wait(rank: int, work) -> None:
        def opens(*args, timeout=None, **options):
            print(timeout == devices.PATIENCE, flush=True)
            return opened(*args, timeout=timeout, **options)

        torch.distributed.init_process_group = opens
        work()

    command = ["train", *COMMAND, "--epochs", "1"]
    ways = (lambda: fit(workbook, epochs=1, num_samples=0), lambda: main(command))
    for work in ways:
        children = together(partial(wait, work=work))
        outputs = [child.communicate(timeout=120) for child in children]
        assert [out.splitlines()[0] for out, _ in outputs] == ["True", "True"], outputs
