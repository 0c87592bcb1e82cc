"""The learned mel-to-linear step: found by its parameters, better than the pseudo-inverse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CORPUS, vowel
from safetensors.torch import load_file
from small_voice import SMALL, error, magnitudes

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.spectrogram.mel import audio_to_mel, mel_filters
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.storage.weights import save_weights
from ddpmlib.vocoder.griffin_lim import mel_to_magnitude
from ddpmlib.vocoder.mel_to_linear import MelToLinear, pretrained_mel_to_linear


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """The empty folder of weights of a workbook, which is the current folder."""
    (tmp_path / "data" / "pretrained").mkdir(parents=True)
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "pretrained"


def test_weights_are_found_by_their_parameters_whatever_n_frames(pretrained):
    torch.manual_seed(0)
    MelToLinear(SMALL).save("data/pretrained_elsewhere.safetensors")
    pretrained.rmdir()
    assert pretrained_mel_to_linear(SMALL) is None
    pretrained.mkdir()
    network = MelToLinear(SMALL)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    network.save(pretrained / "inversion_8k.safetensors", note="a test")
    MelToLinear(replace(SMALL, n_mels=20)).save(pretrained / "inversion_20.safetensors")
    for n_frames in (16, 256):
        found = pretrained_mel_to_linear(replace(SMALL, n_frames=n_frames))
        assert torch.equal(found.head.weight, network.head.weight.half().float())
    for changes in ({"n_mels": 17}, {"hop_length": 32}, {"top_db": 60.0}, {"fmax": 3000.0}):
        assert pretrained_mel_to_linear(replace(SMALL, **changes)) is None
    mel = audio_to_mel(vowel(1)[::2].astype(np.float32), SMALL)
    assert not np.allclose(mel_to_magnitude(mel, SMALL), mel_to_magnitude(mel, SMALL, False))
    (pretrained / "inversion_8k.safetensors").unlink()
    assert np.array_equal(mel_to_magnitude(mel, SMALL), mel_to_magnitude(mel, SMALL, False))


def test_weights_trained_again_are_read_again(pretrained):
    path = pretrained / "inversion.safetensors"
    for seed in (0, 1):
        network = MelToLinear(SMALL)
        torch.nn.init.normal_(network.head.weight, generator=torch.manual_seed(seed))
        network.save(path)
        weight = pretrained_mel_to_linear(SMALL).head.weight
        assert torch.equal(weight, network.head.weight.half().float())


def test_weights_are_half_the_size_and_carry_their_parameters(tmp_path):
    path = tmp_path / "x.safetensors"
    MelToLinear(SMALL).save(path, minutes=3)
    assert {v.dtype for v in load_file(path).values()} == {torch.float16}
    loaded = MelToLinear.load(path)
    assert loaded.params == SMALL
    assert loaded.head.weight.dtype == torch.float32
    assert not loaded.training


def test_an_untrained_step_spreads_each_band_evenly():
    mel = audio_to_mel(vowel(1).astype(np.float32), DEFAULT)
    magnitude = MelToLinear(DEFAULT).eval().magnitude(mel)
    assert magnitude.shape == (513, mel.shape[1])
    filters = mel_filters(DEFAULT)
    even = (filters / filters.sum(axis=1, keepdims=True)).T @ mel
    np.testing.assert_allclose(magnitude, np.sqrt(even + 1e-9), rtol=1e-4)


def test_silence_stays_silent(pretrained):
    MelToLinear(SMALL).save(pretrained / "inversion.safetensors")
    assert mel_to_magnitude(np.zeros((16, 50), np.float32), SMALL).max() < 1e-4


def test_damaged_weights_are_named(pretrained):
    path = pretrained / "inversion.safetensors"
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(ValueError, match=r"inversion.safetensors is not a whole safetensors file"):
        pretrained_mel_to_linear(SMALL)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors does not exist"):
        MelToLinear.load("none.safetensors")


def test_weights_that_are_not_finite_or_of_another_size_are_refused(tmp_path):
    path, network = tmp_path / "x.safetensors", MelToLinear(SMALL)
    huge = {"params": replace(SMALL, n_fft=2**40).to_dict()}  # its filters would fill any memory
    save_weights(path, network, "inversion", huge)
    with pytest.raises(ValueError, match=r"head.weight is .*; needed: \(549755813889, 320"):
        MelToLinear.load(path)
    network.head.bias.data[2] = np.nan
    network.save(path)
    with pytest.raises(ValueError, match=f"1 of {len(network.head.bias)} values of head.bias in"):
        MelToLinear.load(path)


def test_the_shipped_step_helps_a_speaker_it_was_not_trained_on():
    errors = {True: [], False: []}
    for path in find_audio(CORPUS)[::22]:
        sound = clean(load_audio(path, DEFAULT.sample_rate).samples, DEFAULT.sample_rate)
        mel, wanted = audio_to_mel(sound, DEFAULT), magnitudes(sound, DEFAULT)
        for learned, errors_of_each in errors.items():
            errors_of_each.append(error(mel_to_magnitude(mel, DEFAULT, learned), wanted))
    ratios = np.array(errors[True]) / np.array(errors[False])
    assert pretrained_mel_to_linear(DEFAULT) is not None
    assert ratios.max() < 0.88
