"""Checkpoints: what does not fit is refused by name, runs of earlier formats are resumed."""

import csv
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import (
    EPOCHS,
    PARAMS,
    STEPS,
    assert_same,
    assert_same_run,
    checkpoint,
    fit,
    write_data,
)

from ddpmlib.models.unet import UNetConfig
from ddpmlib.training import checkpoint as checkpoints
from ddpmlib.training.run_directory import read_metrics

# Names as earlier versions wrote them, and what some are called now.
EARLIER_CONFIG = """
epochs batch_size image_size learning_rate device dataset bucket_name result_bucket name init_from
condition condition_dropout seed max_minutes noise_steps schedule target ema_decay num_samples
sample_every checkpoint_minutes warmup_steps clip_norm precision
"""
EARLIER_COLUMNS = "epoch step minutes train_loss validation_loss pictures_per_second"
EARLIER_CHOICES = {"optimizer": "adam", "time_sampling": "uniform"}
NOW = {"target": "prediction_type", "pictures_per_second": "mels_per_second"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with data and a finished run; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    fit(folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def interrupt_at(step: int):
    """A callback that stops a run without another checkpoint."""

    def interrupt(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return interrupt


def as_written_earlier(run: Path) -> None:
    """Bring a run to the format of earlier versions."""
    content, facts = checkpoint(run), json.loads((run / "config.json").read_text())
    config = {name: facts.pop(NOW.get(name, name)) for name in EARLIER_CONFIG.split()}
    torch.save(content | {"config": config}, run / checkpoints.CHECKPOINT)
    (run / "config.json").write_text(json.dumps(config | facts))
    columns = EARLIER_COLUMNS.split()
    rows = [{name: row[NOW.get(name, name)] for name in columns} for row in read_metrics(run)]
    with (run / "metrics.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def test_a_run_of_the_earlier_format_is_resumed_to_the_bit(tmp_path, capsys):
    """By the optimizer and the times that it was begun with, before one could choose."""
    run, begun = tmp_path / "run", EARLIER_CHOICES
    fit(tmp_path, "whole", **begun)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callback=interrupt_at(STEPS + 3), checkpoint_minutes=1e-9, **begun)
    as_written_earlier(run)
    assert checkpoint(run)["config"]["target"] == "v"
    header, first = (run / "metrics.csv").read_text().splitlines()
    assert header.endswith("pictures_per_second")
    assert read_metrics(run)[0]["mels_per_second"] == float(first.split(",")[-1])
    seen = []
    fit(tmp_path, callback=lambda progress: seen.append(progress.step))
    assert seen == list(range(STEPS + 3, EPOCHS * STEPS + 1))
    said = "run goes on as it was begun: time_sampling uniform, optimizer adam\n"
    assert said in capsys.readouterr().out
    assert_same_run(run, tmp_path / "whole")
    facts = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("run", "whole")]
    assert_same(*facts)


def test_a_finished_run_of_the_earlier_format_goes_on_with_more_epochs(tmp_path):
    fit(tmp_path, epochs=1, **EARLIER_CHOICES)
    as_written_earlier(tmp_path / "run")
    fit(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"prediction_type is eps but v in .*checkpoint\.pt; give"):
        fit(tmp_path, prediction_type="eps")
    fit(tmp_path, epochs=2)
    assert [row["epoch"] for row in read_metrics(tmp_path / "run")] == [1, 2]


def test_checkpoints_from_before_there_were_these_settings_go_on(tmp_path):
    fit(tmp_path, epochs=1, **EARLIER_CHOICES)
    content = checkpoint(tmp_path / "run")
    for name in ("init_from", "condition", "condition_dropout", *EARLIER_CHOICES):
        del content["config"][name]
    for name in ("dropout", "condition"):
        del content["unet"][name]
    torch.save(content, tmp_path / "run" / checkpoints.CHECKPOINT)
    fit(tmp_path, epochs=2)
    assert checkpoint(tmp_path / "run")["counters"]["epoch"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "linear"}, "schedule is linear but cosine in"),
        ({"prediction_type": "eps"}, "prediction_type is eps but v in"),
        ({"noise_steps": 30}, "noise_steps is 30 but 20 in"),
        ({"batch_size": 3}, "batch_size is 3 but 4 in"),
        ({"seed": 5}, "seed is 5 but 0 in"),
        ({"optimizer": "adam"}, "optimizer is adam but muon in"),
        ({"time_sampling": "uniform"}, "time_sampling is uniform but logit_normal in"),
        ({"ema_decay": 0.5}, "ema_decay is 0.5 but 0.999 in"),
        ({"network": UNetConfig(16, (1, 2), heads=2)}, "^width is 16 but 8 in"),
        ({"network": UNetConfig(8, (1, 2), heads=2, dropout=0.1)}, "^dropout is 0.1 but 0.0 in"),
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
        (
            {"mels": 9, "validation": 0},
            {},
            r"^12 recordings were taken away \(speaker/009.wav, .*/010.wav, .*/011.wav, \.\.\.\)",
        ),
        ({"validation": 4}, {}, r"^one recording was added \(speaker/021.wav\) since .*checkpoint"),
        ({"mels": 17, "validation": 4}, {}, r"^one recording was moved .* \(speaker/017.wav\)"),
    ],
)
def test_other_data_than_that_of_the_checkpoint_are_named(data, changes, words, tmp_path):
    fit(tmp_path, epochs=1, num_samples=0)
    write_data(tmp_path, **data)
    with pytest.raises(ValueError, match=words) as caught:
        fit(tmp_path, **changes)
    if "recording" in words:
        assert f", with init_from={tmp_path}/run to go on from its weights" in str(caught.value)


def test_another_split_of_the_same_number_of_mels_is_other_data(tmp_path):
    path = write_data(tmp_path)
    fit(tmp_path, epochs=1, num_samples=0)
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text())
    first, last = description["files"][0], description["files"][-1]
    first["split"], last["split"] = last["split"], first["split"]
    sidecar.write_text(json.dumps(description))
    with pytest.raises(
        ValueError, match=r"^2 recordings were moved to the other split \(speaker/0"
    ):
        fit(tmp_path)
    content = checkpoint(tmp_path / "run")
    del content["recordings"]  # as earlier versions wrote it
    torch.save(content, tmp_path / "run" / checkpoints.CHECKPOINT)
    with pytest.raises(
        ValueError, match=r"^data is 21 pictures \(\w{8}\) but 21 pictures \(\w{8}\)"
    ):
        fit(tmp_path)


def test_a_recording_that_was_cut_otherwise_is_named(tmp_path):
    path = write_data(tmp_path)
    fit(tmp_path, epochs=1, num_samples=0)
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text())
    first, second = description["files"][:2]
    first["pictures"], second["pictures"], second["first"] = 2, 0, 2
    sidecar.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"^2 recordings were cut otherwise \(speaker/000.wav, "):
        fit(tmp_path)


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
    path, sprung = tmp_path / "run" / checkpoints.CHECKPOINT, tmp_path / "sprung"
    foreign(kind, path, sprung)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is damaged or not a") as caught:
        fit(tmp_path)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    assert before == files(tmp_path)


@pytest.mark.parametrize("part", ["network", "ema", "optimizer"])
def test_a_checkpoint_with_values_that_are_not_finite_is_refused(part, tmp_path):
    fit(tmp_path, epochs=1, num_samples=0)
    path, content = tmp_path / "run" / checkpoints.CHECKPOINT, checkpoint(tmp_path / "run")
    nested, name = content[part], {"network": "head.bias", "ema": "module.head.bias"}.get(part)
    if not name:
        nested, name = nested["state"][0], "exp_avg"
    nested[name].view(-1)[:3] = float("nan")
    torch.save(content, path)
    with pytest.raises(ValueError, match=rf"3 of \d+ values of {part}\..*{name} in .*{path.name}"):
        fit(tmp_path, epochs=2)
