"""Several processes train like one: from a notebook, as a command, and on several machines."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import EPOCHS, NETWORK, STEPS, checkpoint, fit, start, tell, tiny_config, write_data

from ddpmlib import processes
from ddpmlib.condition import Tokens
from ddpmlib.run import read_metrics

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
    """Start `accelerate launch -m ddpmlib.training` with two processes in all.

    --multi_gpu is its word for several processes; --device cpu is ours, and decides.
    """
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", 2, "--num_machines", machines, "--machine_rank", machine]
    launch += ["--main_process_ip", "127.0.0.1", "--main_process_port", port]
    command = [*launch, "-m", "ddpmlib.training", *COMMAND, *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(list(map(str, command)), cwd=workbook, **options)


@pytest.mark.parametrize("condition", ["", "text"])
def test_two_processes_from_a_notebook_train_like_one(condition, workbook):
    """The kernel has computed on several threads before, and trains by itself afterwards."""
    folder = workbook / "data" / "spectrograms"
    tell(folder / "tiny.npy", text=(Tokens(2, "ab"), ["ab", "ba", None] * 7))
    fit(folder, "before")
    config = tiny_config(name="two", condition=condition, condition_dropout=0.3)
    processes.launch(2, config, NETWORK, resume=True)
    fit(folder, "alone", condition=condition, condition_dropout=0.3)
    two, alone = workbook / "data" / "runs" / "two", folder / "alone"
    assert losses(two) == pytest.approx(losses(alone), abs=1e-5)
    assert len(losses(two)) == 2 * EPOCHS
    assert len(list((two / "samples").iterdir())) == 4 * EPOCHS


def test_a_fault_in_a_process_is_one_sentence_and_leaves_signals_alone(workbook):
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    processes.launch(2, tiny_config(name="two", epochs=1), NETWORK, resume=True)
    with pytest.raises(RuntimeError, match=r"process 0 of 2: .*runs/two holds a run") as caught:
        processes.launch(2, tiny_config(name="two"), NETWORK, resume=False)
    assert "\n" not in str(caught.value)
    assert handlers == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [0, 3])
def test_a_batch_that_does_not_divide_is_refused_before_anything_starts(workbook, number):
    with pytest.raises(ValueError, match=f"batch_size is 4; .*multiple of the {number} processes"):
        processes.launch(number, tiny_config(), NETWORK, resume=True)
    assert not (workbook / "data" / "runs").exists()


def test_an_interrupt_from_a_notebook_saves_the_step_in_the_middle_of_an_epoch(tmp_path):
    new_workbook(tmp_path)
    write_data(tmp_path / "data" / "spectrograms", pictures=40_000)
    code = """
from ddpmlib import processes, progress
os.chdir(folder)
os.setpgid(0, 0)  # like a kernel, which is interrupted with all its children
progress.HEARTBEAT = -1
processes.launch(2, tiny_config(name="two"), NETWORK, True)
"""
    process = start(tmp_path, code)
    for line in process.stdout:
        if "step 20," in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    _, trouble = process.communicate(timeout=60)
    assert "KeyboardInterrupt: stopped; the state of the last step is saved" in trouble
    run = tmp_path / "data" / "runs" / "two"
    assert 20 <= checkpoint(run)["counters"]["step"] < 10_000
    assert read_metrics(run) == []


def test_accelerate_launch_trains_like_one_process_and_resumes(workbook):
    for name, epochs, several in (("one", 1, 0), ("two", 1, 1), ("one", 2, 0), ("two", 2, 1)):
        arguments = ["--name", name, "--epochs", str(epochs)]
        if several:
            process = accelerate(workbook, *arguments)
            said = process.communicate(timeout=120)[0]
            assert (process.returncode, f"step {4 * epochs}," in said) == (0, True), said
        else:
            processes.main([*COMMAND, *arguments])
    two, one = workbook / "data" / "runs" / "two", workbook / "data" / "runs" / "one"
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert checkpoint(two)["counters"]["step"] == 2 * STEPS


def test_two_machines_resume_though_only_the_first_has_the_run(tmp_path):
    first, second = (new_workbook(tmp_path / name) for name in ("first", "second"))
    for epochs in (1, 2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [
            accelerate(folder, "--epochs", epochs, machine=i, machines=2, port=port)
            for i, folder in enumerate((first, second))
        ]
        said = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], said
    name = tiny_config().name
    assert checkpoint(first / "data" / "runs" / name)["counters"]["step"] == 2 * STEPS
    assert not (second / "data" / "runs" / name / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dataset", "none.npy"], "spectrograms/none.npy does not exist"),
        (["--epochs", "0"], "epochs is 0; it must be at least 1"),
        (["--batch-size", "99"], "batch_size is 99 but tiny.npy has 18"),
        (["--epochs", "ten"], "invalid int value: 'ten'"),
        (["--epoch-s", "1"], "unrecognized arguments: --epoch-s"),
    ],
)
def test_the_command_refuses_in_one_sentence(workbook, arguments, sentence, capsys):
    with pytest.raises(SystemExit) as caught:
        processes.main([*COMMAND, *arguments])
    said = str(caught.value.code) + capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
