"""Provenance: a favourite is reproduced exactly; an interpolation leads from seed to seed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tiny import fit

from ddpmlib.audio.cleaning import PEAK, gain
from ddpmlib.diffusion import provenance
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.provenance import SampleProvenance
from ddpmlib.distillation.learnt_grid import save_time_grid
from ddpmlib.spectrogram.codec import load_png
from ddpmlib.storage.paths import data_folder
from ddpmlib.vocoder.waveform import image_to_audio

RUN = "tiny"


@pytest.fixture
def model(tmp_path, monkeypatch) -> DDPM:
    """Of a run in a data folder of its own."""
    (tmp_path / "data" / "runs").mkdir(parents=True)
    (tmp_path / "data" / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    fit(tmp_path / "data", f"runs/{RUN}", epochs=1)
    return DDPM.load(provenance.run_folder(RUN))


def made_by(**changes) -> SampleProvenance:
    values = {
        "run": RUN,
        "weights": provenance.weights_hash(RUN),
        "num_steps": 5,
        "count": 3,
        "index": 1,
    }
    return SampleProvenance(**values | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "ddpm", "seed": 3},
        {"towards": 7, "guidance_scale": 1.0},
        {"seconds": 0.2},
        {"seconds": 0.03, "sampler": "ddim"},
        {"time_grid": "uniform", "guidance_interval": (-1.0, 2.0)},
    ],
)
def test_a_favourite_is_reproduced_to_the_bit(model, changes):
    made = made_by(**changes)
    mel = provenance.sample(model, made)[made.index]
    frames = model.params.frames_in(made.seconds) if made.seconds else model.params.n_frames
    assert mel.shape == (1, model.params.n_mels, frames)
    sound = image_to_audio(mel, model.params)
    path = provenance.save_favourite(made, mel, sound, model.params.sample_rate)
    again, same_sound = provenance.reproduce(path)
    assert np.array_equal(again, mel)
    assert np.array_equal(same_sound, sound)
    np.testing.assert_allclose(load_png(path.with_suffix(".png")), mel[0], atol=0.005)
    wav, rate = soundfile.read(path.with_suffix(".wav"))
    assert rate == model.params.sample_rate
    np.testing.assert_allclose(wav, min(1, gain([sound])) * sound, atol=1e-4)


def test_a_learnt_grid_is_kept_and_may_be_learnt_again(model):
    folder = provenance.run_folder(RUN)
    last = model.noise_steps - 1
    save_time_grid(folder, (last, last // 2, 3))
    model = DDPM.load(folder)
    made = made_by(time_grid="learnt", num_steps=3)
    mels = provenance.sample(model, made)
    wav, *_ = provenance.save_samples(folder / "out", made, mels, model)
    save_time_grid(folder, (last, last // 4, 2))
    again, _ = provenance.reproduce(wav.parent / "provenance.json")
    assert np.array_equal(again, mels[made.index])
    other = DDPM.load(folder)
    assert made.of(model).name != made.of(other).name
    assert made.of(model).of(other) == made.of(model)
    assert made_by(num_steps=3).of(model) == made_by(num_steps=3)
    assert not np.array_equal(provenance.sample(other, made)[made.index], again)


def test_different_provenance_has_different_names(model):
    changes = [{}, {"seed": 1}, {"index": 2}, {"count": 4}, {"num_steps": 6}, {"sampler": "ddim"}]
    changes += [{"time_grid": "uniform"}, {"guidance_interval": (-2.0, 2.0)}]
    changes += [{"towards": 1}, {"seconds": 1.5}, {"guidance_scale": 2.5}, {"weights": "other"}]
    changes += [{"condition": words} for words in ("ann", "a b", "a_b", "a" * 99, "a" * 98)]
    assert len({made_by(**change).name for change in changes}) == len(changes)


def test_it_is_refused_when_the_run_was_trained_on(model):
    made = made_by()
    mel = provenance.sample(model, made)[1]
    path = provenance.save_favourite(made, mel, np.zeros(10), 16_000)
    torch.nn.init.normal_(model.network.head.weight)
    model.save(provenance.run_folder(RUN) / "model.safetensors")
    with pytest.raises(ValueError, match=r"weights of tiny are \w{12} but \w{12} in .*json"):
        provenance.reproduce(path)


@pytest.mark.parametrize("text", ["", "[]", '{"seeds": 1}', '{"run": '])
def test_what_is_no_provenance_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is no provenance; needed: JSON with run, "):
        provenance.reproduce(tmp_path / "a.json")


def test_a_run_is_found_by_its_name_and_by_its_path(model, tmp_path):
    folder = provenance.run_folder(RUN)
    for path in (f"data/runs/{RUN}/", f"runs/{RUN}", str(folder), f"./data/runs/{RUN}"):
        assert provenance.run_folder(path).samefile(folder)
        assert made_by(run=path).name == made_by().name
        assert provenance.weights_hash(path) == made_by().weights
    moved = folder.rename(tmp_path / "moved away")
    assert provenance.run_folder(f"{tmp_path}/moved away") == moved


def test_runs_are_the_shipped_weights_and_local_runs_with_a_model(model):
    (provenance.run_folder(RUN).parent / "empty").mkdir()
    assert provenance.runs() == ["pretrained", RUN]
    (beside := data_folder() / "pretrained" / "student").mkdir(parents=True)
    model.save(beside / "model.safetensors")
    assert provenance.runs() == ["pretrained", "pretrained/student", RUN]
    assert provenance.run_folder("pretrained/student").samefile(beside)


def test_an_interpolation_begins_with_one_seed_and_ends_with_the_other(model):
    between = made_by(seed=3, towards=4, count=5)
    mels = provenance.sample(model, between)
    for place, seed in ((0, 3), (-1, 4)):
        alone = provenance.sample(model, made_by(seed=seed, count=1))[0]
        np.testing.assert_allclose(mels[place], alone, atol=1e-5)
    steps = np.abs(np.diff(mels, axis=0)).mean(axis=(1, 2, 3))
    whole = np.abs(mels[-1] - mels[0]).mean()
    assert steps.max() < whole, "no step is as large as the way"
    assert (steps > 0).all()


def test_an_interpolation_needs_a_sampler_without_noise_of_its_own(model):
    with pytest.raises(ValueError, match="sampler is 'ddpm'"):
        provenance.sample(model, made_by(sampler="ddpm", towards=1))


def test_an_interpolation_has_two_ends(model):
    with pytest.raises(ValueError, match="count is 1; needed: at least 2"):
        provenance.sample(model, made_by(count=1, index=0, towards=1))


def test_slerp_has_the_variance_of_noise():
    start, end = torch.randn(2, 1, 64, 256, generator=torch.Generator().manual_seed(0))
    between = provenance.slerp(start, end, [0, 0.25, 0.5, 1])
    torch.testing.assert_close(between[0], start)
    torch.testing.assert_close(between[-1], end)
    assert between.std(dim=(1, 2, 3)).numpy() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(provenance.slerp(start, start, [0, 0.5])[1], start)


def test_noise_is_what_a_sample_begins_with(model):
    noise = model.noise(2, seed=5)
    torch.manual_seed(99)
    same = model.sample(2, num_steps=4, seed=5)
    assert np.array_equal(model.sample(2, num_steps=4, seed=1, noise=noise), same)
    with pytest.raises(ValueError, match=r"noise is \(2, 1, 8, 16\); needed: \(3, 1, 8, 16\)"):
        model.sample(3, num_steps=4, noise=noise)


def test_the_file_holds_the_provenance_that_was_given(model):
    made = replace(made_by(), towards=2)
    path = provenance.save_favourite(made, np.zeros((1, 8, 16)), np.zeros(10), 16_000)
    assert SampleProvenance(**json.loads(path.read_text())) == made


def test_files_made_with_the_old_names_are_reproduced(model):
    made = made_by(guidance_scale=1.5)
    mel = provenance.sample(model, made)[made.index]
    path = provenance.save_favourite(made, mel, image_to_audio(mel, model.params), 16_000)
    text = path.read_text().replace("num_steps", "steps").replace("guidance_scale", "guidance")
    path.write_text(text)
    assert np.array_equal(provenance.reproduce(path)[0], mel)


def test_files_from_before_there_were_grids_are_reproduced_on_even_times(model):
    made = made_by(time_grid="uniform")
    mel = provenance.sample(model, made)[made.index]
    path = provenance.save_favourite(made, mel, image_to_audio(mel, model.params), 16_000)
    values = json.loads(path.read_text())
    del values["time_grid"], values["guidance_interval"]
    path.write_text(json.dumps(values))
    assert np.array_equal(provenance.reproduce(path)[0], mel)
    assert not np.array_equal(provenance.sample(model, replace(made, time_grid="log_snr"))[1], mel)


def test_samples_are_saved_with_their_provenance(model, tmp_path):
    made = made_by()
    mels = provenance.sample(model, made)
    paths = provenance.save_samples(tmp_path / "out", made, mels, model)
    assert [path.name for path in paths] == ["sample_0.wav", "sample_1.wav", "sample_2.wav"]
    assert all(path.with_suffix(".png").exists() for path in paths)
    mel, sound = provenance.reproduce(tmp_path / "out" / "provenance.json")
    np.testing.assert_allclose(load_png(paths[1].with_suffix(".png")), mel[0], atol=0.005)
    level = min(1, gain([image_to_audio(each, model.params) for each in mels]))
    np.testing.assert_allclose(soundfile.read(paths[1])[0], level * sound, atol=1e-4)


def test_loud_samples_have_one_gain_and_none_is_clipped(model, tmp_path):
    mels = np.full((2, 1, *model.params.image_size), -0.8, np.float32)
    mels[0], mels[1, 0, 2] = 1.0, 0.5
    paths = provenance.save_samples(tmp_path / "out", made_by(), mels, model)
    sounds = [image_to_audio(mel, model.params) for mel in mels]
    assert np.abs(sounds[0]).max() > 1, "this would be clipped"
    written = [soundfile.read(path)[0] for path in paths]
    assert np.abs(written[0]).max() == pytest.approx(PEAK, abs=1e-3)
    for sound, found in zip(sounds, written, strict=True):
        np.testing.assert_allclose(found, gain(sounds) * sound, atol=1e-4)


def test_of_fewer_samples_none_of_an_earlier_call_remains(model, tmp_path):
    mels = provenance.sample(model, made_by())
    folder = tmp_path / "out"
    provenance.save_samples(folder, made_by(), mels, model)
    for name in ("long.wav", "sample_9.txt", "my_sample_2.wav"):
        (folder / name).touch()
    provenance.save_samples(folder, made_by(), mels[:1], model)
    kept = {"long.wav", "sample_9.txt", "my_sample_2.wav", "provenance.json"}
    assert {path.name for path in folder.iterdir()} == kept | {"sample_0.png", "sample_0.wav"}
