"""The learned mel-to-linear step: learned from recordings, found by its grid, better than plain."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cases import vowel, write
from safetensors.torch import load_file

from ddpmlib import inversion_training, recordings
from ddpmlib.audio import clean, find_audio, load_audio
from ddpmlib.building import build
from ddpmlib.inversion import mel_to_magnitude
from ddpmlib.inversion_training import main, train_inversion
from ddpmlib.learned_inversion import LearnedInversion, trained_for
from ddpmlib.mel import audio_to_mel, mel_filters
from ddpmlib.preparation import Preparation
from ddpmlib.recordings import held_out_files, load_recordings, pieces, windows
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams

STEPS = 60  # of the training that is judged by what it learned
SMALL = SpectrogramParams(sample_rate=8000, n_fft=256, hop_length=64, n_mels=16, fmax=4000)


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """An empty workbook as the current folder, with a voice prepared on a small grid."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        write(tmp_path / "data/corpora/voice" / f"{i}.wav", vowel(2, hz=100 + 15 * i))
    build("corpora/voice", "voice", Preparation(SMALL, validation_share=0.2), workers=1)
    monkeypatch.setattr(recordings, "MAX_HOURS", 1.0)
    torch.set_num_threads(1)
    return tmp_path


def error(magnitude: np.ndarray, wanted: np.ndarray) -> float:
    """L1 distance of compressed magnitudes, which the training lowers."""
    return float(np.abs(magnitude**0.3 - wanted**0.3).mean())


def magnitudes(sound: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    import librosa

    stft = librosa.stft(sound, n_fft=params.n_fft, hop_length=params.hop_length)
    return np.abs(stft) / (params.n_fft / 4)


def test_training_learns_what_the_bands_leave_out(workbook, capsys, monkeypatch):
    # A clock of its own: as many steps on every machine.
    clock = count(step=24 / STEPS)
    monkeypatch.setattr(inversion_training, "time", SimpleNamespace(monotonic=clock.__next__))
    network = train_inversion(["voice.npy"], 0.4, "data/pretrained/inversion.safetensors")
    assert "validation_loss" in capsys.readouterr().out
    sound = vowel(2, hz=130)[::2].astype(np.float32)  # of the rate 16000; not one it heard
    mel, wanted = audio_to_mel(sound, SMALL), magnitudes(sound, SMALL)
    plain, learned = (mel_to_magnitude(mel, SMALL, learned=x) for x in (False, True))
    assert error(learned, wanted) < 0.85 * error(plain, wanted)
    assert network.params == SMALL
    for found in (plain, learned):  # both have the mel power that was given
        again = mel_filters(SMALL) @ found**2
        assert np.linalg.norm(again - mel) < 0.05 * np.linalg.norm(mel)


def test_only_the_training_split_is_heard(workbook):
    files = json.loads((workbook / "data/spectrograms/voice.json").read_text())["files"]
    held_out = {f["file"] for f in files if f["split"] == "validation"}
    assert len(held_out) == 2
    for f in held_out:
        write(workbook / "data/corpora/voice" / f, noise(2))
    train, validation, params = load_recordings(["voice.npy"], seed=0)
    assert params == SMALL
    assert is_noise(validation)
    assert not is_noise(train)
    assert len(train) > 4 * len(validation) * 0.8


def test_pieces_are_as_long_as_a_picture_and_come_from_held_out_recordings(workbook):
    files = held_out_files("voice.npy")
    assert len(files) == 2
    assert all(path.exists() for path in files)
    narrow = replace(SMALL, n_frames=65)  # 64 hops of 8 ms: 0.512 s
    found = pieces(files, narrow, 5)
    assert [len(piece) for piece in found] == [4096] * 5
    assert len(pieces(files, narrow, 100)) == 7, "what there is in four seconds, trimmed"


def test_without_held_out_recordings_pieces_come_from_all(workbook):
    build("corpora/voice", "all", Preparation(SMALL, validation_share=0), workers=1)
    assert len(held_out_files("all.npy")) == 10


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(16_000 * seconds))


def is_noise(sound: np.ndarray) -> bool:
    import librosa

    return bool(librosa.feature.spectral_flatness(y=sound).mean() > 0.1)


def test_more_recordings_than_memory_are_drawn_from(workbook, monkeypatch):
    monkeypatch.setattr(recordings, "MAX_HOURS", 7 / 3600)
    train, validation, _ = load_recordings(["voice.npy"], seed=0)
    assert 7 <= (len(train) + len(validation)) / 8000 < 9.5


def test_weights_are_found_by_their_grid_whatever_the_width(workbook):
    torch.manual_seed(0)
    LearnedInversion(SMALL).save("data/pretrained_elsewhere.safetensors")
    assert trained_for(SMALL) is None
    (workbook / "data/pretrained").mkdir()
    network = LearnedInversion(SMALL)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    network.save("data/pretrained/inversion_8k.safetensors", note="a test")
    LearnedInversion(replace(SMALL, n_mels=20)).save("data/pretrained/inversion_20.safetensors")
    for width in (16, 256):
        found = trained_for(replace(SMALL, n_frames=width))
        assert torch.equal(found.head.weight, network.head.weight.half().float())
    for changes in ({"n_mels": 17}, {"hop_length": 32}, {"top_db": 60.0}, {"fmax": 3000.0}):
        assert trained_for(replace(SMALL, **changes)) is None
    mel = audio_to_mel(vowel(1)[::2].astype(np.float32), SMALL)
    assert not np.allclose(mel_to_magnitude(mel, SMALL), mel_to_magnitude(mel, SMALL, False))
    (workbook / "data/pretrained/inversion_8k.safetensors").unlink()
    assert np.array_equal(mel_to_magnitude(mel, SMALL), mel_to_magnitude(mel, SMALL, False))


def test_weights_are_half_the_size_and_carry_their_grid(workbook):
    LearnedInversion(SMALL).save("x.safetensors", minutes=3)
    assert {v.dtype for v in load_file("x.safetensors").values()} == {torch.float16}
    loaded = LearnedInversion.load("x.safetensors")
    assert loaded.params == SMALL
    assert loaded.head.weight.dtype == torch.float32
    assert not loaded.training


def test_an_untrained_step_spreads_each_band_evenly():
    mel = audio_to_mel(vowel(1).astype(np.float32), DEFAULT)
    magnitude = LearnedInversion(DEFAULT).eval().magnitude(mel)
    assert magnitude.shape == (513, mel.shape[1])
    filters = mel_filters(DEFAULT)
    even = (filters / filters.sum(axis=1, keepdims=True)).T @ mel
    np.testing.assert_allclose(magnitude, np.sqrt(even + 1e-9), rtol=1e-4)


def test_silence_stays_silent(workbook):
    (workbook / "data/pretrained").mkdir()
    LearnedInversion(SMALL).save("data/pretrained/inversion.safetensors")
    assert mel_to_magnitude(np.zeros((16, 50), np.float32), SMALL).max() < 1e-4


def test_damaged_weights_are_named(workbook):
    (workbook / "data/pretrained").mkdir()
    path = workbook / "data/pretrained/inversion.safetensors"
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(ValueError, match=r"inversion.safetensors is not a whole safetensors file"):
        trained_for(SMALL)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors does not exist"):
        LearnedInversion.load("none.safetensors")


def test_what_cannot_be_trained_on_is_named(workbook):
    with pytest.raises(FileNotFoundError, match=r"spectrograms/nothing.json does not exist"):
        train_inversion(["nothing.npy"], 1, "x.safetensors")
    other = replace(SMALL, n_mels=20)
    build("corpora/voice", "other", Preparation(other), workers=1)
    with pytest.raises(ValueError, match=r"n_mels is 16 in voice.npy but 20 in other.npy"):
        train_inversion(["voice.npy", "other.npy"], 1, "x.safetensors")
    for path in (workbook / "data/corpora/voice").iterdir():
        path.unlink()
    (workbook / "data/corpora/voice").rmdir()
    with pytest.raises(FileNotFoundError, match="corpora/voice does not exist"):
        train_inversion(["voice.npy"], 1, "x.safetensors")
    assert not (workbook / "x.safetensors").exists()
    with pytest.raises(SystemExit, match="corpora/voice does not exist"):
        main(["voice.npy", "--minutes", "1"])


def test_the_shipped_step_helps_a_voice_it_never_heard():
    recordings = find_audio(Path(__file__).parents[1] / "data/sample_corpus")[::22]
    errors = {True: [], False: []}
    for path in recordings:
        sound = clean(load_audio(path, DEFAULT.sample_rate).samples, DEFAULT.sample_rate)
        mel, wanted = audio_to_mel(sound, DEFAULT), magnitudes(sound, DEFAULT)
        for learned, found in errors.items():
            found.append(error(mel_to_magnitude(mel, DEFAULT, learned), wanted))
    ratios = np.array(errors[True]) / np.array(errors[False])
    print(ratios)
    assert trained_for(DEFAULT) is not None
    assert ratios.max() < 0.8


def test_windows_are_whole_pieces_one_after_the_other():
    pieces = windows(np.arange(105), 10, 2.0, 9)
    assert [(p[0], len(p)) for p in pieces] == [(0, 20), (20, 20), (40, 20), (60, 20), (80, 20)]
    assert len(windows(np.arange(105), 10, 2.0, 3)) == 3
    assert windows(np.arange(19), 10, 2.0, 3) == []


def test_too_little_to_train_on_is_named(workbook):
    for path in (workbook / "data/corpora/voice").glob("[1-9].wav"):
        path.unlink()
    build("corpora/voice", "short", Preparation(SMALL), workers=1)
    with pytest.raises(ValueError, match=r"2\.\d s of sound to train on; needed: at least 10 s"):
        train_inversion(["short.npy"], 1, "x.safetensors")
