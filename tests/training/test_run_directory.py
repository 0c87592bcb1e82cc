"""The run directory: what is in it, what is refused, and what survives trouble."""

import csv
import json
import os
import resource
import shutil
import signal

import pytest
import torch
from tiny import (
    EPOCHS,
    NETWORK,
    PARAMS,
    STEPS,
    Child,
    assert_same_run,
    checkpoint,
    fit,
    tiny_config,
)

from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.training import checkpoint as checkpoints
from ddpmlib.training import run_directory, step_schedule
from ddpmlib.training.run_directory import read_metrics


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
    assert tuple(rows[0]) == run_directory.COLUMNS
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "4"), ("2", "8"), ("3", "12")]
    assert all(float(row[name]) > 0 for row in rows for name in run_directory.COLUMNS)


def test_a_run_begun_anew_forgets_the_metrics_of_the_old_one(tmp_path):
    fit(tmp_path, num_samples=0)
    (tmp_path / "run" / checkpoints.CHECKPOINT).unlink()
    fit(tmp_path, num_samples=0, epochs=1)
    assert [row["epoch"] for row in read_metrics(tmp_path / "run")] == [1]


def test_each_epoch_leaves_num_samples_of_png_and_wav(finished):
    """18 mel-spectrograms in batches of 4: the size of the last batch plays no part."""
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
    mels = [
        [(tmp_path / f"run/samples/epoch_{e:04d}_{i}.png").read_bytes() for i in range(3)]
        for e in (1, 3)
    ]
    assert mels[0] == mels[1]
    assert len(set(mels[0])) == 3


def test_sample_every_skips_epochs_but_not_the_last(tmp_path):
    fit(tmp_path, sample_every=2, num_samples=1)
    names = {f.stem for f in (tmp_path / "run/samples").iterdir()}
    assert names == {"epoch_0002_0", "epoch_0003_0"}


def test_config_json_describes_the_run(finished):
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
    rate = step_schedule.learning_rate(tiny_config(), last, last / (last + 1))
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


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file/run: "):
        fit(tmp_path, run="file/run")


@pytest.mark.parametrize("file", [WEIGHTS, checkpoints.CHECKPOINT])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_half_written(file, tmp_path):
    fit(tmp_path, epochs=1)
    size = (tmp_path / "run" / file).stat().st_size

    def fill(progress):
        if progress.step == 6:
            shutil.copy(tmp_path / "run" / checkpoints.CHECKPOINT, tmp_path / "before")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 4096, size - 4096))

    child = Child(lambda: fit(tmp_path, epochs=2, callback=fill, checkpoint_minutes=1e9))
    _, trouble = child.communicate(timeout=60)
    assert f"OSError: [Errno 27] cannot write {tmp_path}/run/{file}: File too large" in trouble
    before = (tmp_path / "before").read_bytes()
    assert before == (tmp_path / "run" / checkpoints.CHECKPOINT).read_bytes()
    assert not list((tmp_path / "run").glob(".*"))
    DDPM.load(tmp_path / "run")
    fit(tmp_path, epochs=2)
    assert [row["epoch"] for row in read_metrics(tmp_path / "run")] == [1, 2]


def test_what_a_killed_process_was_writing_is_cleared(tmp_path):
    (tmp_path / "run").mkdir()
    left_over = [tmp_path / "run" / f".{name}.a1b2" for name in (checkpoints.CHECKPOINT, WEIGHTS)]
    for path in left_over:
        path.write_bytes(b"half")
    fit(tmp_path, epochs=1, num_samples=0)
    assert not any(path.exists() for path in left_over)


def test_a_second_training_of_the_name_is_refused_and_disturbs_nothing(finished, tmp_path):
    """It would delete what the first is writing, and write an older checkpoint over a newer."""
    trouble = []

    def second(progress):
        if progress.step == 6:
            half = tmp_path / "run" / f".{checkpoints.CHECKPOINT}.a1b2"
            half.write_bytes(b"half")
            child = Child(lambda: fit(tmp_path))
            trouble.append(child.communicate(timeout=60)[1])
            assert half.read_bytes() == b"half"
            half.unlink()

    fit(tmp_path, callback=second)
    sentence = trouble[0].strip().splitlines()[-1]
    assert sentence.startswith(
        f"FileExistsError: {tmp_path}/run is in use by process {os.getpid()}"
    )
    assert_same_run(tmp_path / "run", finished / "run")


def lines_of(capsys, *parts: str) -> bool:
    """Whether one printed line holds all parts."""
    return any(all(part in line for part in parts) for line in capsys.readouterr().out.splitlines())


def longer(folder, **changes) -> None:
    """Make a run of EPOCHS twice as long, without what a guided model needs."""
    fit(folder, **{"epochs": 2 * EPOCHS, "num_samples": 1} | changes)


def test_a_run_made_longer_equals_one_run_of_that_length(tmp_path, capsys):
    """It goes on from before the learning rate fell, here behind 9 of 12 steps."""
    fit(tmp_path, num_samples=1)
    finished = (tmp_path / "run" / WEIGHTS).read_bytes()
    seen = []
    longer(tmp_path, callback=lambda progress: seen.append(progress.step))
    assert seen == list(range(10, 2 * EPOCHS * STEPS + 1))
    assert lines_of(capsys, "run is made longer than its 12 steps", "from step 9", WEIGHTS)
    longer(tmp_path, run="one")
    assert_same_run(tmp_path / "run", tmp_path / "one")
    assert (tmp_path / "run" / run_directory.KEPT).read_bytes() == finished


def test_an_interrupted_decay_is_no_end_of_the_long_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, num_samples=1, callback=at_step(11, signal.SIGINT))
    longer(tmp_path)
    longer(tmp_path, run="one")
    assert_same_run(tmp_path / "run", tmp_path / "one")


def test_finished_weights_stay_until_better_ones_are_there(tmp_path):
    """A learning rate of nothing makes none, one that spoils everything neither, until the end."""
    fit(tmp_path, num_samples=0, learning_rate=1e-2)
    run, seen = tmp_path / "run", []
    finished = (run / WEIGHTS).read_bytes()

    def look(progress):
        seen.append((run / WEIGHTS).read_bytes() == finished)
        if progress.step == 18:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        longer(tmp_path, callback=look, learning_rate=1.0, checkpoint_minutes=1e-9)
    assert checkpoint(run)["counters"]["step"] == 18
    longer(tmp_path, callback=look, learning_rate=1.0, checkpoint_minutes=1e-9)
    assert seen == [True] * 14 + [False]
    assert (run / run_directory.KEPT).read_bytes() == finished


def test_better_weights_take_their_place_at_the_end_of_an_epoch(tmp_path):
    fit(tmp_path, num_samples=0, learning_rate=1e-9)
    run, seen = tmp_path / "run", []
    finished = (run / WEIGHTS).read_bytes()

    def look(progress):
        seen.append((run / WEIGHTS).read_bytes() == finished)

    longer(tmp_path, callback=look, learning_rate=1e-2, num_samples=0)
    assert seen == [True, True] + [False] * 13


def test_a_run_whose_weights_were_taken_away_is_made_longer_all_the_same(tmp_path):
    fit(tmp_path, epochs=1, num_samples=0)
    (tmp_path / "run" / WEIGHTS).unlink()
    longer(tmp_path, epochs=2, num_samples=0)
    assert not (tmp_path / "run" / run_directory.KEPT).exists()
    DDPM.load(tmp_path / "run")


def test_a_longer_run_without_what_was_before_the_decay_says_that_the_rate_rises(tmp_path, capsys):
    """Such as one of an earlier version."""
    fit(tmp_path, num_samples=0)
    (tmp_path / "run" / run_directory.BEFORE_DECAY).unlink()
    seen = []
    longer(tmp_path, callback=lambda progress: seen.append(progress.step))
    assert seen[0] == 13
    assert lines_of(capsys, "learning rate rises 20.0-fold again", run_directory.KEPT)


def at_step(step: int, number: int):
    return lambda progress: progress.step == step and signal.raise_signal(number)
