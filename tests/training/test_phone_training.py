"""Training with phones as condition: learned frame by frame, dropped as one, resumed to the bit,
begun from unconditional weights, and by two processes as by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import (
    EPOCHS,
    NETWORK,
    PARAMS,
    assert_same_run,
    fit,
    tiny_config,
    write_conditions,
    write_data,
)

from ddpmlib.data.dataset import Reconditioned, SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM, GUIDING_MODEL
from ddpmlib.models import encoders
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.models.condition_rows import null_conditions
from ddpmlib.models.encoders import PhoneEncoder
from ddpmlib.text import durations
from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.corpus import Aligned, alignments_path, write_alignments
from ddpmlib.text.durations import DurationPredictor
from ddpmlib.text.frames import phone_frames
from ddpmlib.training import distributed, step_schedule
from ddpmlib.training.run_directory import read_metrics

SPEC = PhoneCondition(("SIL", "low", "high"), *PARAMS.image_size)
FRAME = PARAMS.hop_length / PARAMS.sample_rate  # seconds
RAMP = np.linspace(-0.8, 0.8, PARAMS.n_mels)
SHAPES = {"SIL": np.full(PARAMS.n_mels, -0.9), "low": -RAMP, "high": RAMP}
LEARNING = {"learning_rate": 8e-3, "batch_size": 16, "num_samples": 0}
REPEATING = {"condition": "phones", "condition_dropout": 0.5}


@pytest.fixture(scope="module", autouse=True)
def small():
    """Smaller networks of phones."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (durations, "STEPS", 3),
            (durations, "SIZE", 16),
            (encoders, "SIZE", 32),
        ):
            patch.setattr(module, name, value)
        yield


def spoken(random: np.random.Generator, frames: int = PARAMS.n_frames) -> Alignment:
    """Phones in an order drawn, four frames and more each."""
    names, ends = ["SIL"], [0]
    while frames - ends[-1] >= 8:
        ends.append(ends[-1] + int(random.integers(4, 7)))
        names.append(random.choice([name for name in SPEC.names if name != names[-1]]))
    times = FRAME * np.array([*ends, frames])
    parts = zip(names[1:], times[:-2].tolist(), times[1:-1].tolist(), strict=True)
    last = Interval("SIL", float(times[-2]), float(times[-1]))
    return Alignment((*(Interval(*part) for part in parts), last), ())


def shown(rows: np.ndarray) -> np.ndarray:
    """The mel (n_mels, n_frames) that each phone of (n_frames, 3) has."""
    return np.stack([SHAPES[SPEC.names[int(i) - 1]] for i in rows[:, 0]], axis=1)


def phone_data(folder: Path, mels: int = 18, unknown: bool = False, aligned: bool = True) -> Path:
    """Mel-spectrograms that show their phones, at a level of their own."""
    path, random = write_data(folder, mels, validation=4), np.random.default_rng(0)
    alignments = [spoken(random) for _ in range(mels + 4)]
    rows = [phone_frames(a.phones, SPEC.names, PARAMS.n_frames, PARAMS) for a in alignments]
    levels = random.uniform(-0.1, 0.1, (len(rows), 1, 1, 1))
    np.save(path, (np.stack([shown(row) for row in rows])[:, None] + levels).astype(np.float16))
    if unknown:
        for i, row in enumerate(rows):
            row[: i % PARAMS.n_frames] = np.nan
    write_conditions(path, phones=(SPEC, rows))
    if aligned:
        files = [f"speaker/{i:03d}.wav" for i in range(len(rows))]
        found = zip(files, alignments, strict=True)
        write_alignments(alignments_path(path), {f: Aligned(f, "", "", 0, a) for f, a in found})
    return path


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    phone_data(folder, mels=482)
    fit(folder, condition="phones", epochs=6, **LEARNING)
    return folder


def test_the_loss_falls_and_is_lowest_with_the_right_phones(trained):
    rows = read_metrics(trained / "run")
    assert rows[-1]["validation_loss"] < 0.5 * rows[0]["validation_loss"]
    model = DDPM.load(trained / "run")
    data = SpectrogramSet(trained / "tiny.npy", "validation", condition="phones")
    right = data.conditions(range(len(data)))
    wrong = right.clone()
    wrong[..., 0] = right[..., 0] % 3 + 1
    given = {"right": right, "null": torch.full_like(right, torch.nan), "wrong": wrong}
    losses = {name: model.loss_on(Reconditioned(data, each)) for name, each in given.items()}
    assert losses["right"] == model.loss_on(data)
    assert losses["right"] < losses["null"] < losses["wrong"]


@pytest.mark.parametrize("frames", [8, 16, 44])
def test_samples_show_their_phones_frame_by_frame_at_any_length(frames, trained):
    model, random = DDPM.load(trained / "run"), np.random.default_rng(9)
    rows = [
        phone_frames(spoken(random, frames).phones, SPEC.names, frames, PARAMS) for _ in range(4)
    ]
    mels = model.sample(4, num_steps=8, condition=rows, guidance_scale=1.5)
    assert mels.shape == (4, 1, PARAMS.n_mels, frames)
    wanted = np.stack([shown(row) for row in rows])
    errors = [np.abs(mels[:, 0] - shapes).mean() for shapes in (wanted, wanted[[1, 2, 3, 0]])]
    assert errors[0] < 0.7 * errors[1]


def test_the_mean_mel_is_learned_beside(trained):
    model, random = DDPM.load(trained / "run"), np.random.default_rng(9)
    row = phone_frames(spoken(random).phones, SPEC.names, PARAMS.n_frames, PARAMS)
    with torch.inference_mode():
        _, (_, mean) = model.network.condition(torch.from_numpy(row)[None])
    assert np.abs(mean[0, 0].numpy() - shown(row)).mean() < 0.25


def test_the_phones_of_a_mel_are_dropped_together(tmp_path, monkeypatch):
    phone_data(tmp_path)
    seen, forward = [], PhoneEncoder.forward

    def spy(self, condition):
        if self.training:
            seen.append(condition.clone())
        return forward(self, condition)

    monkeypatch.setattr(PhoneEncoder, "forward", spy)
    fit(tmp_path, num_samples=0, **REPEATING)
    unknown = torch.cat(seen).isnan().flatten(1)
    config = tiny_config(**REPEATING)
    dropped = torch.cat([step_schedule.dropped(config, step) for step in range(len(seen))])
    assert torch.equal(unknown.any(dim=1), dropped)
    assert torch.equal(unknown.all(dim=1), dropped)
    assert 0 < dropped.sum() < len(dropped)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    phone_data(tmp_path, unknown=True)
    fits, fit_durations = [], DurationPredictor.fit

    def spy(self, alignments, seed=0):
        fits.append(len(alignments))
        return fit_durations(self, alignments, seed)

    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(DurationPredictor, "fit", spy)
    fit(tmp_path, "whole", **REPEATING)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, "parts", interrupt, checkpoint_minutes=1e-9, **REPEATING)
    fit(tmp_path, "parts", **REPEATING)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert fits == [18, 18], "of the training split, once for each run"


def test_unconditional_weights_go_on_with_phones(tmp_path):
    path = phone_data(tmp_path)
    fit(tmp_path, "before", epochs=5, num_samples=0)
    options = {"network": None, "init_from": str(tmp_path / "before"), "epochs": 1}
    fit(tmp_path, "after", condition="phones", learning_rate=1e-12, **options)
    data = SpectrogramSet(path, condition="phones")
    before, after = (DDPM.load(tmp_path / run) for run in ("before", "after"))
    assert before.condition_spec is None
    assert after.condition_spec == SPEC
    assert after.loss_on(data) == pytest.approx(before.loss_on(data), abs=1e-5)


@pytest.mark.parametrize(
    "other", [PhoneCondition(("SIL", "high", "low", "new"), *PARAMS.image_size), None]
)
def test_without_their_phones_weights_are_unconditional(other, tmp_path):
    path = phone_data(tmp_path)
    fit(tmp_path, "before", condition="phones", learning_rate=1e-2, epochs=4, num_samples=0)
    if other:
        rows = np.ones((22, PARAMS.n_frames, 3))
        write_conditions(path, phones=(other, list(rows)))
    options = {"network": None, "init_from": str(tmp_path / "before"), "epochs": 1}
    condition = "phones" if other else ""
    fit(tmp_path, "after", condition=condition, learning_rate=1e-12, **options)
    before, after = (DDPM.load(tmp_path / run) for run in ("before", "after"))
    assert after.condition_spec == other
    data = SpectrogramSet(path)
    null = null_conditions(SPEC, len(data), PARAMS.n_frames)
    known = before.loss_on(Reconditioned(data, null))
    found = after.loss_on(Reconditioned(data, null) if other else data)
    assert found == pytest.approx(known, abs=1e-5)


def test_durations_travel_with_the_weights_and_their_average(tmp_path):
    path = phone_data(tmp_path)
    model = fit(tmp_path, condition="phones", epochs=1, num_samples=0)
    alignments = SpectrogramSet(path).alignments()
    torch.manual_seed(tiny_config().seed)
    network = NETWORK.with_condition(SPEC).build()
    wanted = network.condition.durations.fit(alignments, tiny_config().seed)
    phones = ["SIL", "low", "high", "SIL"], np.zeros((4, 2))
    for found in (model, DDPM.load(tmp_path / "run")):
        durations_now = found.network.condition.durations
        np.testing.assert_allclose(durations_now.predict(*phones), wanted.predict(*phones))


def test_data_without_alignments_are_learned_from_without_durations(tmp_path):
    phone_data(tmp_path, aligned=False)
    model = fit(tmp_path, condition="phones", epochs=1, num_samples=0)
    with pytest.raises(ValueError, match="no durations are known"):
        model.network.condition.durations.predict(["SIL"], np.zeros((1, 2)))


def test_a_young_model_is_kept_to_guide_the_later_one(tmp_path):
    phone_data(tmp_path)
    fit(tmp_path, condition="phones", epochs=6, num_samples=0)
    model = DDPM.load(tmp_path / "run")
    assert (tmp_path / "run" / GUIDING_MODEL).exists()
    assert model.guiding_model.condition_spec == model.condition_spec == SPEC


def test_half_precision_trains(tmp_path):
    phone_data(tmp_path)
    fit(tmp_path, condition="phones", epochs=1, num_samples=1, precision="bfloat16")
    [row] = read_metrics(tmp_path / "run")
    assert np.isfinite(row["validation_loss"])
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 2


def test_two_processes_train_like_one(tmp_path, monkeypatch):
    """Though they differ in how many frames are known, and so in the loss of the mean."""
    folder = tmp_path / "data" / "spectrograms"
    folder.mkdir(parents=True)
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    phone_data(folder, unknown=True)
    changes = REPEATING | {"learning_rate": 5e-3, "num_samples": 0}
    distributed.launch(2, tiny_config(name="two", **changes), NETWORK, resume=True)
    fit(folder, "alone", **changes)
    runs = tmp_path / "data" / "runs" / "two", folder / "alone"
    names = ("train_loss", "validation_loss")
    two, alone = ([row[n] for row in read_metrics(run) for n in names] for run in runs)
    assert two == pytest.approx(alone, abs=1e-5)
    assert len(two) == 2 * EPOCHS
