"""The benchmarks measure what they say; what they find is not tested."""

import importlib
import json
import shutil
import sys
import time

import contenders
import gpu
import growth
import librosa
import networks
import numpy as np
import pytest
import report
import timing
import torch
import training
import versions
from cases import level, vowel, write
from sleeping import sleeping
from torch.optim.swa_utils import AveragedModel
from workspace import ROOT

from ddpmlib.models.baseline import BaselineConfig
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT


def test_contenders_take_turns_in_processes_of_their_own(tmp_path):
    log = tmp_path / "log"
    made = {"short": (sleeping, 0.05, log, 1), "long": (sleeping, 0.15, log, 300)}
    turns = timing.take_turns(made, rounds=3)
    assert log.read_text().split() == ["1", "300"] * 4, "in turn, and one round to warm up"
    assert [len(turn.seconds) for turn in turns.values()] == [3, 3]
    assert min(turns["short"].seconds) >= 0.05
    assert min(turns["long"].seconds) >= 0.15
    assert turns["long"].gigabytes - turns["short"].gigabytes == pytest.approx(0.31, abs=0.05)


def test_a_ratio_is_taken_round_by_round():
    ours, theirs = timing.Turns([1.0, 10.0, 1.0]), timing.Turns([2.0, 20.0, 40.0])
    assert timing.ratio(theirs, ours) == 2


def test_a_part_replaces_its_last_rows_alone_and_the_table_shows_all(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "TABLE", tmp_path / "results.md")
    report.save("one", [report.Row("old", 1.0, "s")])
    report.save("two", [report.Row("other part", 2.0, "s")])
    report.save("one", [report.Row("new", 1234.5, "s", "other", 0.0123456, 3.14159, note="why")])
    assert json.loads((tmp_path / "results.json").read_text())["one"]["rows"][0]["work"] == "new"
    text = (tmp_path / "results.md").read_text()
    assert "| new | 1,234 s | other | 0.0123 | 3.14 |  |" in text
    assert "* new: why" in text
    assert "| other part | 2 s |" in text
    assert "old" not in text


def test_the_table_in_the_repository_is_that_of_the_results():
    results = json.loads(report.RESULTS.read_text())
    assert report.TABLE.read_text() == report.table(results)


@pytest.mark.parametrize(
    "part", ["preparation", "training", "sampling", "vocoder", "start", "growth", "quality"]
)
def test_each_part_can_be_imported(part):
    assert callable(importlib.import_module(part).measure)


def test_the_original_way_makes_its_21_arrays_of_each_file(tmp_path):
    for name, hz in (("low", 100), ("high", 200)):
        write(tmp_path / "in" / f"{name}.wav", vowel(0.2, hz=hz))
    (tmp_path / "out").mkdir()
    assert contenders.baseline_preparation(tmp_path / "in", tmp_path / "out", augment=True) == 2
    arrays = [np.load(path) for path in (tmp_path / "out").iterdir()]
    assert len(arrays) == 2 * 21
    assert {len(array) for array in arrays} == {DEFAULT.n_mels}
    assert all(array.max() == pytest.approx(1) for array in arrays)


def test_full_scores_are_the_same_attention():
    q, k, v = torch.randn(3, 2, 4, 10, 8)
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(networks.full_scores(q, k, v), fused)


def test_networks_of_the_same_size_are_of_the_same_size():
    ours, theirs = (
        sum(p.numel() for p in config.build().parameters())
        for config in (UNetConfig(), networks.SAME_SIZE)
    )
    assert theirs == pytest.approx(ours, rel=0.04)


@pytest.mark.parametrize("config", [UNetConfig(), networks.SAME_SIZE])
def test_a_contender_makes_a_training_step(config):
    training.step(config, 1, image_size=(32, 64))()


def test_the_baseline_is_trained_with_full_scores(monkeypatch):
    called = []

    def scores(q, k, v):
        called.append(q.shape)
        return networks.full_scores(q, k, v)

    # Restored at the end: the benchmark puts it there for good, in a process of its own.
    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", None)
    monkeypatch.setattr(training, "full_scores", scores)
    training.step(BaselineConfig(), 1, True, image_size=(16, 32))()
    assert len(called) == 6


def test_the_average_of_a_foreign_network_is_evaluated():
    network = networks.SAME_SIZE.build()
    ema = AveragedModel(network)
    x_t, time = torch.randn(1, 1, 16, 32), torch.tensor([0.5])
    before = ema(x_t, time)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(0)
    assert torch.equal(ema(x_t, time), before)


def test_a_library_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "denoising_diffusion_pytorch", None)
    found, missing = networks.of_the_same_size()
    assert list(found) == ["diffusers, same size"]
    assert "denoising-diffusion-pytorch cannot be imported here" in missing


def test_librosas_vocoder_is_given_what_librosa_would_have_made(monkeypatch):
    given = []
    monkeypatch.setattr(
        "librosa.feature.inverse.mel_to_audio", lambda mel, **options: given.append((mel, options))
    )
    sound = vowel(1).astype(np.float32)
    contenders.librosa_vocoder(audio_to_image(sound, DEFAULT), DEFAULT)
    [(mel, options)] = given
    theirs = librosa.feature.melspectrogram(y=sound, n_mels=DEFAULT.n_mels, **options)
    np.testing.assert_allclose(mel, theirs, rtol=0.01, atol=1e-4 * theirs.max())


def test_librosas_vocoder_has_the_level_of_the_sound():
    sound = vowel(1).astype(np.float32)
    back = contenders.librosa_vocoder(audio_to_image(sound, DEFAULT), DEFAULT)
    assert level(back) == pytest.approx(level(sound), abs=2)


def test_a_slope_of_one_is_linear_and_one_of_two_square():
    assert growth.slope([2.0 * times for times in growth.TIMES]) == pytest.approx(1)
    assert growth.slope([3.0 * times**2 for times in growth.TIMES]) == pytest.approx(2)


def test_the_share_of_waiting_grows_with_the_wait(monkeypatch):
    def slow(data, index):
        time.sleep(0.2)
        return torch.zeros(1, *DEFAULT.image_size)

    monkeypatch.setattr(training, "REFERENCE", 1)
    monkeypatch.setattr(training, "MELS", 4)
    quick = training.waiting()
    monkeypatch.setattr("ddpmlib.data.dataset.SpectrogramSet.__getitem__", slow)
    assert quick.ours < training.waiting().ours


def test_the_script_for_gpus_runs_on_a_processor_and_names_a_missing_gpu(capsys):
    tiny = "--device cpu --batches 1 --widths 8 --steps 1 --size 64 --no-compile"
    gpu.main(tiny.split())
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 8 | 1 | False |")
    if not torch.cuda.is_available():
        sentence = "device is 'cuda', which this machine lacks; use auto or cpu"
        with pytest.raises(SystemExit, match=sentence):
            gpu.main([])


def test_versions_take_turns_each_with_the_library_of_its_own_folder(tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "ddpmlib", other / "ddpmlib")
    profile = other / "ddpmlib/models/profile.py"
    profile.write_text(profile.read_text() + "\n\ndef peak_gigabytes():\n    return 1234.0\n")
    for data in ("pretrained", "sample_corpus"):
        (other / "data").mkdir(exist_ok=True)
        (other / "data" / data).symlink_to(ROOT / "data" / data)
    (other / "data/README.md").write_text("here")
    monkeypatch.setattr(versions, "ROUNDS", 2)
    ours, theirs = versions.turns("vocoder", [(ROOT, {}), (other, {})])
    assert [len(turns.seconds) for turns in (ours, theirs)] == [2, 2]
    assert ours.gigabytes < 10
    assert theirs.gigabytes == 1234


def test_a_clone_without_the_earlier_commit_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "BEFORE", "0" * 40)
    needed = pytest.raises(SystemExit, match="not in this clone; needed: a clone with its history")
    with needed, versions.earlier(tmp_path / "before"):
        pytest.fail("there is no such commit")
