"""Training of the mel-to-linear step: it learns from recordings; what it cannot use is named."""

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from cases import vowel
from small_voice import SMALL, error, magnitudes, small_voice

from ddpmlib.__main__ import main
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation
from ddpmlib.spectrogram.mel import audio_to_mel, mel_filters
from ddpmlib.training import mel_to_linear
from ddpmlib.training.mel_to_linear import train_mel_to_linear
from ddpmlib.vocoder import mel_to_linear as step
from ddpmlib.vocoder.griffin_lim import mel_to_magnitude

STEPS = 60


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    return small_voice(tmp_path, monkeypatch)


def test_training_learns_the_detail_between_the_bands(workbook, capsys, monkeypatch):
    # A clock of its own: as many steps on every machine.
    clock = count(step=24 / STEPS)
    monkeypatch.setattr(mel_to_linear, "time", SimpleNamespace(monotonic=clock.__next__))
    for name, value in {"CHANNELS": 96, "HIDDEN": 192, "BLOCKS": 2}.items():
        monkeypatch.setattr(step, name, value)
    for name, value in {"BATCH": 16, "FRAMES": 48, "WARMUP": 20}.items():
        monkeypatch.setattr(mel_to_linear, name, value)
    network = train_mel_to_linear(["voice.npy"], 0.4, "data/pretrained/inversion.safetensors")
    assert "validation_loss" in capsys.readouterr().out
    sound = vowel(2, hz=130)[::2].astype(np.float32)  # of the rate 16000; not in the data set
    mel, wanted = audio_to_mel(sound, SMALL), magnitudes(sound, SMALL)
    plain, learned = (mel_to_magnitude(mel, SMALL, learned=x) for x in (False, True))
    untrained = step.MelToLinear(SMALL).magnitude(mel)
    assert error(network.magnitude(mel), wanted) < 0.85 * error(untrained, wanted)
    assert network.params == SMALL
    for found in (plain, learned):  # both have the mel power that was given
        again = mel_filters(SMALL) @ found**2
        assert np.linalg.norm(again - mel) < 0.05 * np.linalg.norm(mel)


def test_what_cannot_be_trained_on_is_named(workbook):
    with pytest.raises(FileNotFoundError, match=r"spectrograms/nothing.json does not exist"):
        train_mel_to_linear(["nothing.npy"], 1, "x.safetensors")
    other = replace(SMALL, n_mels=20)
    build_dataset("corpora/voice", "other", Preparation(other), workers=1)
    with pytest.raises(ValueError, match=r"n_mels is 16 in voice.npy but 20 in other.npy"):
        train_mel_to_linear(["voice.npy", "other.npy"], 1, "x.safetensors")
    for path in (workbook / "data/corpora/voice").iterdir():
        path.unlink()
    (workbook / "data/corpora/voice").rmdir()
    with pytest.raises(FileNotFoundError, match="corpora/voice does not exist"):
        train_mel_to_linear(["voice.npy"], 1, "x.safetensors")
    assert not (workbook / "x.safetensors").exists()
    with pytest.raises(SystemExit, match="corpora/voice does not exist"):
        main(["vocoder", "voice.npy", "--minutes", "1"])


def test_too_little_to_train_on_is_named(workbook):
    for path in (workbook / "data/corpora/voice").glob("[1-9].wav"):
        path.unlink()
    build_dataset("corpora/voice", "short", Preparation(SMALL), workers=1)
    with pytest.raises(ValueError, match=r"2\.\d s of sound to train on; needed: at least 10 s"):
        train_mel_to_linear(["short.npy"], 1, "new/x.safetensors")
    assert not (workbook / "new").exists()
