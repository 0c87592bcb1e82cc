"""Mel power <-> values in [-1, 1] with a fixed reference; PNG."""

import numpy as np
import pytest
from PIL import Image

from ddpmlib.spectrogram.codec import PNG_GREYS, REFERENCE_DB, decode, encode, load_png, save_png
from ddpmlib.spectrogram.params import DEFAULT


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_survive_decode_and_encode(dtype):
    values = np.linspace(-1, 1, 10_001).astype(dtype)
    back = encode(decode(values, DEFAULT), DEFAULT)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, values, atol=1e-5)


def test_mel_power_survives_encode_and_decode_within_the_range():
    db = np.linspace(REFERENCE_DB - DEFAULT.top_db + 0.1, REFERENCE_DB, 1000)
    back = 10 * np.log10(decode(encode(10 ** (db / 10), DEFAULT), DEFAULT))
    np.testing.assert_allclose(back, db, atol=1e-3)


def test_the_range_is_10_to_90_db_below_a_full_scale_sine_for_every_clip():
    mel = 10 ** (np.array([10, -10, -50, -90, -110]) / 10)  # weights and data rely on it
    np.testing.assert_allclose(encode(mel, DEFAULT), [1, 1, 0, -1, -1], atol=1e-6)
    assert decode(np.array([3.0, -3.0]), DEFAULT)[1] == 0


def test_png_round_trip_is_within_half_a_grey_step(tmp_path):
    mel = np.random.default_rng(0).uniform(-1, 1, (1, 64, 256)).astype(np.float32)
    mel[0, :2, :2] = [[-1, 1], [0, 0.5]]
    save_png(tmp_path / "x.png", mel)
    back = load_png(tmp_path / "x.png")
    assert back.dtype == np.float32
    assert np.abs(back - mel[0]).max() <= 1 / PNG_GREYS + 1e-6
    assert (back[0, 0], back[0, 1]) == (-1, 1)


def test_png_has_one_scale_and_low_frequencies_at_the_bottom(tmp_path):
    mel = -np.ones(DEFAULT.image_size, np.float32)
    mel[0] = 0  # nothing brighter: autoscaled greys would make it white
    save_png(tmp_path / "x.png", mel)
    grey = np.asarray(Image.open(tmp_path / "x.png"))
    assert grey.shape == (64, 256)
    assert set(grey[-1]) == {128}
    assert set(grey[:-1].ravel()) == {0}


def test_a_missing_and_a_colour_png_are_refused_by_name(tmp_path):
    Image.new("RGB", (256, 64)).save(tmp_path / "plot.png")
    with pytest.raises(ValueError, match=r"plot\.png is a RGB image; needed: 8-bit grey"):
        load_png(tmp_path / "plot.png")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        load_png(tmp_path / "none.png")
