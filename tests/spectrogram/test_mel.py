"""Waveform -> mel-spectrogram: levels in dB re a full-scale sine, bands, silence."""

import re
from dataclasses import replace

import librosa
import numpy as np
import pytest
from cases import one_sentence, tone

from ddpmlib.spectrogram.mel import (
    audio_to_image,
    audio_to_mel,
    band_edges,
    bands_above,
    bandwidth,
    check_bands,
    frame_starts,
    mel_blocks,
    mel_filters,
)
from ddpmlib.spectrogram.params import DEFAULT, PRESETS, SpectrogramParams


def test_half_the_amplitude_is_6_02_db_darker():
    quiet, loud = (audio_to_image(g * tone(1000, 2), DEFAULT) for g in (0.125, 0.25))
    inside = (quiet > -0.9) & (loud < 0.99)
    assert inside.sum() > 200
    db = (loud - quiet)[inside] * DEFAULT.top_db / 2
    np.testing.assert_allclose(db, 20 * np.log10(2), atol=1e-3)


@pytest.mark.parametrize("band", [10, 20, 32, 45, 60])
@pytest.mark.parametrize("params", [DEFAULT, PRESETS["80 mels"], PRESETS["12 s"]])
def test_a_full_scale_sine_at_the_centre_of_a_band_is_0_db(band, params):
    centre = mel_filters(params)[band].argmax() * params.sample_rate / params.n_fft
    mel = audio_to_mel(tone(centre, 1, params.sample_rate, amplitude=1), params)
    middle = mel[:, mel.shape[1] // 2]
    assert middle.argmax() == band
    assert 10 * np.log10(middle[band]) == pytest.approx(0, abs=2)  # its neighbours' skirts add


@pytest.mark.parametrize("semitones", [0, -5, 3])
@pytest.mark.parametrize(
    "params",
    [*PRESETS.values(), replace(DEFAULT, fmin=1500.0), replace(DEFAULT, fmin=55.0, fmax=900.0)],
)
def test_bands_are_those_of_librosa(params, semitones):
    edges = {"fmin": params.fmin, "fmax": params.fmax}
    rate = params.sample_rate * 2 ** (semitones / 12)
    theirs = librosa.filters.mel(
        sr=rate, n_fft=params.n_fft, n_mels=params.n_mels, norm=None, **edges
    )
    np.testing.assert_array_equal(mel_filters(params, semitones), theirs)
    theirs = librosa.mel_frequencies(params.n_mels + 2, **edges)
    np.testing.assert_array_equal(band_edges(params), theirs)


@pytest.mark.parametrize("samples", [0, 1, 100, 1023, 1024, 16_000])
def test_silence_is_dark_everywhere_whatever_its_length(samples):
    mel = audio_to_image(np.zeros(samples, np.float32), DEFAULT)
    assert mel.shape[0] == 64
    np.testing.assert_array_equal(mel, -1)


@pytest.mark.parametrize("samples", [0, 1, 500, 1024, 40_000])
@pytest.mark.parametrize("size", [100, 7000])
@pytest.mark.parametrize("how", [{}, {"speed": 0.95}, {"speed": 1.05, "semitones": -3}])
@pytest.mark.parametrize("params", [DEFAULT, SpectrogramParams(n_fft=1023, hop_length=200)])
def test_blocks_of_any_length_make_the_mel_spectrogram_of_the_whole(params, how, size, samples):
    audio = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    blocks = (audio[start : start + size] for start in range(0, samples, size))
    mels = list(mel_blocks(blocks, samples, params, **how))
    whole = audio_to_mel(audio, params, **how)
    assert whole.shape[1] == len(frame_starts(samples, params, how.get("speed", 1.0)))
    np.testing.assert_allclose(np.concatenate(mels, axis=1), whole, rtol=1e-4, atol=1e-12)


def test_mel_bands_without_a_bin_are_counted_with_what_would_fill_them():
    params = SpectrogramParams(n_fft=256, hop_length=64, n_mels=128)
    empty = int((~mel_filters(params).any(axis=1)).sum())
    assert empty > 5
    with pytest.warns(UserWarning, match=f"{empty} of 128 mel bands") as caught:
        check_bands(params)
    words = re.search(r"n_fft (\d+) or n_mels (\d+) would", str(caught[0].message))
    n_fft, n_mels = map(int, words.groups())
    for enough in (replace(params, n_fft=n_fft), replace(params, n_mels=n_mels)):
        assert mel_filters(enough).any(axis=1).all()
    for little in (replace(params, n_fft=n_fft // 2), replace(params, n_mels=n_mels + 1)):
        assert not mel_filters(little).any(axis=1).all()
    assert one_sentence(caught[0].message, "n_fft 256")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_no_empty_bands(name, recwarn):
    check_bands(PRESETS[name])
    assert not recwarn.list


@pytest.mark.parametrize(
    ("bands", "hertz", "above"), [(64, 8000, 0), (50, 3998, 14), (1, 70, 63), (0, 0, 64)]
)
def test_bandwidth_is_where_the_sound_ends(bands, hertz, above):
    loudest = np.where(np.arange(64) < bands, -0.2, -1.0)
    found = bandwidth(loudest, DEFAULT)
    assert found == pytest.approx(hertz, abs=2)
    assert bands_above(found, DEFAULT) == above
    assert (
        bandwidth(np.maximum(loudest, -0.2 - 2 * 51 / 80), DEFAULT) == found
    )  # what filters leave
