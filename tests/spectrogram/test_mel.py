"""Waveform -> mel-spectrogram: levels in dB re a full-scale sine, bands, silence."""

import numpy as np
import pytest
from cases import tone

from ddpmlib.spectrogram.mel import audio_to_image, audio_to_mel, mel_filters
from ddpmlib.spectrogram.params import DEFAULT, PRESETS


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


@pytest.mark.parametrize("samples", [0, 1, 100, 1023, 1024, 16_000])
def test_silence_is_dark_everywhere_whatever_its_length(samples):
    mel = audio_to_image(np.zeros(samples, np.float32), DEFAULT)
    assert mel.shape[0] == 64
    np.testing.assert_array_equal(mel, -1)
