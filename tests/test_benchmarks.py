"""The benchmarks measure what they say; what they find is not tested."""

import json
import subprocess
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from cases import level, twelve_recordings, vowel
from torch.optim.swa_utils import AveragedModel

from ddpmlib.original import OriginalConfig
from ddpmlib.spectrogram import DEFAULT, audio_to_image
from ddpmlib.unet import UNetConfig

BENCHMARKS = Path(__file__).with_name("benchmarks")
sys.path.append(str(BENCHMARKS))

import contenders  # noqa: E402
import growth  # noqa: E402
import networks  # noqa: E402
import report  # noqa: E402
import timing  # noqa: E402
import training  # noqa: E402


def sleeping(seconds: float, log: Path, megabytes: int) -> timing.Work:
    held = bytearray(megabytes << 20)

    def work() -> None:
        with log.open("a") as lines:
            lines.write(f"{len(held) >> 20}\n")
        time.sleep(seconds)

    return work


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
    report.keep("one", [report.Row("old", 1.0, "s")])
    report.keep("two", [report.Row("kept", 2.0, "s")])
    report.keep("one", [report.Row("new", 1234.5, "s", "other", 0.0123456, 3.14159, note="why")])
    assert json.loads((tmp_path / "results.json").read_text())["one"]["rows"][0]["work"] == "new"
    text = (tmp_path / "results.md").read_text()
    assert "| new | 1,234 s | other | 0.0123 | 3.14 |  |" in text
    assert "* new: why" in text
    assert "| kept | 2 s |" in text
    assert "old" not in text


def test_the_originals_way_makes_its_21_arrays_of_each_file(tmp_path):
    folder = twelve_recordings(tmp_path / "in")
    (tmp_path / "out").mkdir()
    assert contenders.original_preparation(folder, tmp_path / "out", augment=True) == 12
    arrays = [np.load(path) for path in (tmp_path / "out").iterdir()]
    assert len(arrays) == 12 * 21
    assert {len(array) for array in arrays} == {DEFAULT.n_mels}
    assert all(array.max() == pytest.approx(1) for array in arrays)


def test_full_scores_are_the_attention_of_the_original():
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
    training.step(config, 1)()


def test_the_original_is_trained_with_full_scores(monkeypatch):
    called = []

    def scores(q, k, v):
        called.append(q.shape)
        return networks.full_scores(q, k, v)

    # Restored at the end: the benchmark puts it there for good, in a process of its own.
    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", None)
    monkeypatch.setattr(training, "full_scores", scores)
    training.step(OriginalConfig(), 1, True, image_size=(16, 32))()
    assert len(called) == 6


def test_the_average_of_a_foreign_network_is_what_is_judged():
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


def test_librosas_inversion_is_given_what_librosa_would_have_made(monkeypatch):
    given = []
    monkeypatch.setattr(
        "librosa.feature.inverse.mel_to_audio", lambda mel, **grid: given.append((mel, grid))
    )
    sound = vowel(1).astype(np.float32)
    contenders.librosa_inversion(audio_to_image(sound, DEFAULT), DEFAULT)
    [(mel, grid)] = given
    theirs = librosa.feature.melspectrogram(y=sound, n_mels=DEFAULT.n_mels, **grid)
    np.testing.assert_allclose(mel, theirs, rtol=0.01, atol=1e-4 * theirs.max())


def test_librosas_inversion_has_the_level_of_the_sound():
    sound = vowel(1).astype(np.float32)
    back = contenders.librosa_inversion(audio_to_image(sound, DEFAULT), DEFAULT)
    assert level(back) == pytest.approx(level(sound), abs=2)


def test_a_slope_of_one_is_linear_and_one_of_two_square():
    assert growth.slope([2.0 * times for times in growth.TIMES]) == pytest.approx(1)
    assert growth.slope([3.0 * times**2 for times in growth.TIMES]) == pytest.approx(2)


def test_the_share_of_waiting_grows_with_the_wait(monkeypatch):
    def slow(data, index):
        time.sleep(0.5)
        return torch.zeros(1, *DEFAULT.image_size)

    monkeypatch.setattr(training, "REFERENCE", 1)
    monkeypatch.setattr(training, "PICTURES", 4)
    quick = training.waiting()
    monkeypatch.setattr("ddpmlib.dataset.SpectrogramSet.__getitem__", slow)
    assert quick.ours < training.waiting().ours


def test_the_script_for_gpus_runs_on_a_processor_and_names_a_missing_gpu():
    command = [sys.executable, BENCHMARKS / "gpu.py"]
    tiny = [
        "--device",
        "cpu",
        "--batches",
        "1",
        "--widths",
        "8",
        "--steps",
        "1",
        "--size",
        "64",
        "--no-compile",
    ]
    done = subprocess.run([*command, *tiny], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("| 8 | 1 | False |")
    if not torch.cuda.is_available():
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode
        sentence = "device is 'cuda', which this machine lacks; use auto or cpu"
        assert done.stderr.splitlines()[-1] == sentence
