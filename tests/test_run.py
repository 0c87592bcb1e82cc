"""The folder of a run: what is in it, what is refused, and what survives trouble."""

import csv
import json
import pickle
import re
import signal
import threading
from dataclasses import replace

import pytest
import torch
from tiny import EPOCHS, NETWORK, PARAMS, STEPS, checkpoint, fit, start, tiny_config, write_data

from ddpmlib import course, run, state
from ddpmlib.ddpm import DDPM, WEIGHTS
from ddpmlib.unet import UNetConfig


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with data and a finished run; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    fit(folder)
    return folder


def files(folder) -> dict:
    return {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_metrics_have_one_row_an_epoch(finished):
    with (finished / "run/metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == run.COLUMNS
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "4"), ("2", "8"), ("3", "12")]
    assert all(float(row[name]) > 0 for row in rows for name in run.COLUMNS)


def test_a_run_begun_anew_forgets_the_metrics_of_the_old_one(tmp_path):
    fit(tmp_path, num_samples=0)
    (tmp_path / "run" / state.CHECKPOINT).unlink()
    fit(tmp_path, num_samples=0, epochs=1)
    assert [row["epoch"] for row in run.read_metrics(tmp_path / "run")] == [1]


def test_each_epoch_leaves_as_many_pictures_and_sounds_as_asked(finished):
    """18 pictures in batches of 4: the size of the last batch plays no part."""
    expected = {
        f"epoch_{epoch:04d}_{i}{end}"
        for epoch in (1, 2, 3)
        for i in (0, 1)
        for end in (".png", ".wav")
    }
    assert {f.name for f in (finished / "run/samples").iterdir()} == expected
    assert all(f.stat().st_size > 50 for f in (finished / "run/samples").iterdir())


def test_samples_of_every_epoch_come_from_the_same_noise(tmp_path):
    fit(tmp_path, learning_rate=1e-12, num_samples=3)
    pictures = [
        [(tmp_path / f"run/samples/epoch_{e:04d}_{i}.png").read_bytes() for i in range(3)]
        for e in (1, 3)
    ]
    assert pictures[0] == pictures[1]
    assert len(set(pictures[0])) == 3


def test_sample_every_skips_epochs_but_not_the_last(tmp_path):
    fit(tmp_path, sample_every=2, num_samples=1)
    names = {f.stem for f in (tmp_path / "run/samples").iterdir()}
    assert names == {"epoch_0002_0", "epoch_0003_0"}


def test_config_json_tells_what_the_run_was(finished):
    facts = json.loads((finished / "run/config.json").read_text())
    assert facts["params"] == PARAMS.to_dict()
    assert facts["unet"]["width"] == NETWORK.width
    assert (facts["epochs"], facts["torch"]) == (EPOCHS, torch.__version__)


def test_tensorboard_gets_the_metrics_where_it_is_installed(finished):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = [f for f in (finished / "run").rglob("events.out.tfevents*")]
    assert len(events) == 1
    log = EventAccumulator(str(events[0])).Reload()
    assert [event.step for event in log.Scalars("train_loss")] == [4, 8, 12]
    assert "validation_loss" in log.Tags()["scalars"]


def test_the_checkpoint_holds_the_learning_rate_of_the_last_step(finished):
    last = EPOCHS * STEPS - 1  # counted from 0
    rate = course.learning_rate(tiny_config(), last, last / (last + 1))
    group = checkpoint(finished / "run")["optimizer"]["param_groups"][0]
    assert group["lr"] == pytest.approx(rate)


def test_a_used_folder_is_refused_without_resume(finished):
    before = files(finished)
    with pytest.raises(
        FileExistsError, match=r"run holds a run; set resume .* or give another name"
    ):
        fit(finished, resume=False)
    assert before == files(finished)
    assert checkpoint(finished / "run")["counters"]["step"] == EPOCHS * STEPS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "linear"}, "schedule is linear but cosine in"),
        ({"target": "eps"}, "target is eps but v in"),
        ({"noise_steps": 30}, "noise_steps is 30 but 20 in"),
        ({"batch_size": 3}, "batch_size is 3 but 4 in"),
        ({"seed": 5}, "seed is 5 but 0 in"),
        ({"ema_decay": 0.5}, "ema_decay is 0.5 but 0.999 in"),
        ({"network": UNetConfig(16, (1, 2), heads=2)}, "U-Net is .*16.* but .*8.* in"),
    ],
)
def test_other_settings_than_those_of_the_checkpoint_are_named(changes, words, finished):
    before = files(finished)
    with pytest.raises(ValueError, match=words + ".*checkpoint.pt; give that, or another name"):
        fit(finished, **changes)
    assert before == files(finished)


@pytest.mark.parametrize(
    ("data", "changes", "words"),
    [
        (
            {"params": replace(PARAMS, fmax=7000.0)},
            {},
            r"fmax is 8000.0 in .* but 7000.0 in the data",
        ),
        (
            {"params": replace(PARAMS, n_frames=32)},
            {"image_size": (8, 32)},
            "n_frames is 16 in .*checkpoint.pt but 32 in the data",
        ),
        ({"pictures": 9}, {}, r"data is 12 pictures \(\w{8}\) but 21 pictures \(\w{8}\) in"),
    ],
)
def test_other_data_than_that_of_the_checkpoint_are_named(data, changes, words, tmp_path):
    fit(tmp_path, epochs=1, num_samples=0)
    write_data(tmp_path, **data)
    with pytest.raises(ValueError, match=words):
        fit(tmp_path, **changes)


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def foreign(kind: str, path, sprung) -> None:
    """Put something else in place of a checkpoint."""
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    else:
        state = {"network": {}, "weights": torch.zeros(3)}
        trap = torch.load(path, weights_only=True) | {"config": Trap(sprung)}
        torch.save({"trap": trap, "state": state, "list": [1], "tensor": torch.ones(2)}[kind], path)


@pytest.mark.parametrize("kind", ["truncated", "pickle", "trap", "state", "list", "tensor"])
def test_what_is_not_a_checkpoint_is_refused_and_not_unpickled(kind, tmp_path):
    fit(tmp_path, epochs=1, num_samples=0)
    path, sprung = tmp_path / "run" / state.CHECKPOINT, tmp_path / "sprung"
    foreign(kind, path, sprung)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is damaged or not a") as caught:
        fit(tmp_path)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    assert before == files(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file/run: "):
        fit(tmp_path, run="file/run")


@pytest.mark.parametrize("file", [WEIGHTS, state.CHECKPOINT])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_half_written(file, tmp_path):
    fit(tmp_path, epochs=1)
    size = (tmp_path / "run" / file).stat().st_size
    before = (tmp_path / "run" / state.CHECKPOINT).read_bytes()
    code = f"""
def fill(progress):
    if progress.step == 6:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size - 4096},) * 2)
fit(folder, epochs=2, callback=fill, checkpoint_minutes=1e9)
"""
    _, trouble = start(tmp_path, code).communicate(timeout=60)
    assert f"OSError: [Errno 27] cannot write {tmp_path}/run/{file}: File too large" in trouble
    assert before == (tmp_path / "run" / state.CHECKPOINT).read_bytes()
    assert not list((tmp_path / "run").glob(".*"))
    DDPM.load(tmp_path / "run")
    fit(tmp_path, epochs=2)
    assert [row["epoch"] for row in run.read_metrics(tmp_path / "run")] == [1, 2]


def test_what_a_killed_process_was_writing_is_cleared(tmp_path):
    (tmp_path / "run").mkdir()
    left_over = [tmp_path / "run" / f".{name}.a1b2" for name in (state.CHECKPOINT, WEIGHTS)]
    for path in left_over:
        path.write_bytes(b"half")
    fit(tmp_path, epochs=1, num_samples=0)
    assert not any(path.exists() for path in left_over)


def test_a_second_ctrl_c_interrupts_at_once(monkeypatch):
    """Within a second it is the same one, passed on by a launcher of processes; so is SIGTERM."""
    now = 0.0
    monkeypatch.setattr(run.time, "monotonic", lambda: now)
    handler = signal.getsignal(signal.SIGINT)
    with run.deferred_interrupt() as pressed:
        assert not pressed
        signal.raise_signal(signal.SIGINT)
        assert pressed
        signal.raise_signal(signal.SIGINT)
        now = 1.5
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_waits_for_the_end_of_a_step_and_saves(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="after step 6; state is saved"):
        fit(tmp_path, callback=lambda p: p.step == 6 and signal.raise_signal(signal.SIGTERM))
    assert torch.load(tmp_path / "run" / state.CHECKPOINT)["counters"]["step"] == 6


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(fit(tmp_path, epochs=1, num_samples=0)))
    thread.start()
    thread.join(60)
    assert isinstance(outcome[0], DDPM)


def test_another_split_of_the_same_number_of_pictures_is_other_data(tmp_path):
    path = write_data(tmp_path)
    fit(tmp_path, epochs=1, num_samples=0)
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text())
    first, last = description["files"][0], description["files"][-1]
    first["split"], last["split"] = last["split"], first["split"]
    sidecar.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"data is 21 pictures .* but 21 pictures"):
        fit(tmp_path)
