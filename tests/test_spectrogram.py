"""The grid, the codec, PNG, and the way back to audio."""

import dataclasses
import warnings

import numpy as np
import pytest
from cases import CORPUS, RATE, loudest_hz, one_sentence, tone

from ddpmlib.audio import clean, load_audio
from ddpmlib.inversion import mel_to_magnitude
from ddpmlib.mel import audio_to_mel, mel_filters
from ddpmlib.spectrogram import (
    DEFAULT,
    GRIDS,
    PNG_GREYS,
    REFERENCE_DB,
    SpectrogramParams,
    audio_to_image,
    decode,
    encode,
    image_to_audio,
    load_png,
    save_png,
)

SILENCE = -np.ones(DEFAULT.image_size, np.float32)


def speech(name: str = "001") -> np.ndarray:
    return clean(load_audio(CORPUS / f"{name}.ogg", RATE).samples, RATE)


def test_the_default_grid_is_the_originals_picture_of_four_seconds():
    assert DEFAULT.image_size == (64, 256)
    assert DEFAULT.seconds == pytest.approx(4.096)
    assert DEFAULT.hop_length <= DEFAULT.n_fft / 4
    DEFAULT.check_overlap()


def test_a_hop_above_half_a_window_is_refused_naming_both():
    with pytest.raises(ValueError, match="hop_length 2067") as caught:
        GRIDS["12 s, original"].check_overlap()
    assert one_sentence(caught.value, "2048", "1024", "4134")
    with pytest.raises(ValueError, match="hop_length 513 is more than half of n_fft 1024"):
        SpectrogramParams(hop_length=513).check_overlap()
    with pytest.warns(UserWarning, match="2067"):  # usable with a longer window
        GRIDS["12 s"].check_overlap()


@pytest.mark.parametrize(("hop", "warned"), [(256, False), (257, True), (512, True)])
def test_a_hop_above_a_quarter_of_a_window_warns(hop, warned):
    params = SpectrogramParams(hop_length=hop)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        params.check_overlap()
    assert len(caught) == warned
    assert not warned or one_sentence(caught[0].message, hop, 1024)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(DEFAULT)])
@pytest.mark.parametrize("value", [True, "16000", None, float("nan"), float("inf"), -1])
def test_values_that_are_no_numbers_are_refused_by_name(field, value):
    with pytest.raises((TypeError, ValueError), match=field) as caught:
        SpectrogramParams(**{field: value})
    assert one_sentence(caught.value, value)


@pytest.mark.parametrize("field", ["sample_rate", "n_fft", "hop_length", "n_mels", "n_frames"])
@pytest.mark.parametrize(("value", "error"), [(64.0, TypeError), (0, ValueError)])
def test_counts_are_whole_and_above_zero(field, value, error):
    with pytest.raises(error, match=f"{field} is {value}"):
        SpectrogramParams(**{field: value})


@pytest.mark.parametrize(
    "bad",
    [{"fmax": 8001.0}, {"fmin": 8000.0}, {"fmin": 500.0, "fmax": 400.0}, {"sample_rate": 8000}],
)
def test_bands_above_half_the_rate_or_upside_down_are_refused(bad):
    with pytest.raises(ValueError, match=r"fmin .* Hz and fmax .* Hz") as caught:
        SpectrogramParams(**bad)
    params = {"sample_rate": 16_000, "fmax": 8000.0} | bad
    assert one_sentence(caught.value, params["fmax"], f"{params['sample_rate'] // 2} Hz")


def test_parameters_survive_json_and_whole_hertz_are_the_same_grid():
    assert SpectrogramParams.from_dict(DEFAULT.to_dict()) == DEFAULT
    whole = SpectrogramParams(fmin=0, fmax=8000, top_db=80)
    assert repr(whole.to_dict()) == repr(DEFAULT.to_dict())
    with pytest.raises(ValueError, match=r"'hop'.*hop_length"):
        SpectrogramParams.from_dict({"hop": 256})


def test_a_mismatch_names_both_values_and_both_things():
    other = SpectrogramParams(hop_length=128, n_mels=80)
    with pytest.raises(ValueError, match="hop_length is 256") as caught:
        DEFAULT.check_same(other, "the data", "the weights")
    message = "hop_length is 256 in the data but 128 in the weights; "
    assert one_sentence(caught.value, message + "n_mels is 64 in the data but 80 in the weights")
    DEFAULT.check_same(SpectrogramParams(), "the data", "the weights")


# --- the codec


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


def test_half_the_amplitude_is_6_02_db_darker():
    quiet, loud = (audio_to_image(g * tone(1000, 2), DEFAULT) for g in (0.125, 0.25))
    inside = (quiet > -0.9) & (loud < 0.99)
    assert inside.sum() > 200
    db = (loud - quiet)[inside] * DEFAULT.top_db / 2
    np.testing.assert_allclose(db, 20 * np.log10(2), atol=1e-3)


@pytest.mark.parametrize("band", [10, 20, 32, 45, 60])
@pytest.mark.parametrize("params", [DEFAULT, GRIDS["80 mels"], GRIDS["12 s"]])
def test_a_full_scale_sine_at_the_centre_of_a_band_is_0_db(band, params):
    centre = mel_filters(params)[band].argmax() * params.sample_rate / params.n_fft
    mel = audio_to_mel(tone(centre, 1, params.sample_rate, amplitude=1), params)
    middle = mel[:, mel.shape[1] // 2]
    assert middle.argmax() == band
    assert 10 * np.log10(middle[band]) == pytest.approx(0, abs=2)  # its neighbours' skirts add


@pytest.mark.parametrize("samples", [0, 1, 100, 1023, 1024, 16_000])
def test_silence_is_dark_everywhere_whatever_its_length(samples):
    image = audio_to_image(np.zeros(samples, np.float32), DEFAULT)
    assert image.shape[0] == 64
    np.testing.assert_array_equal(image, -1)


def test_png_round_trip_is_within_half_a_grey_step(tmp_path):
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 256)).astype(np.float32)
    image[0, :2, :2] = [[-1, 1], [0, 0.5]]
    save_png(tmp_path / "x.png", image)
    back = load_png(tmp_path / "x.png")
    assert back.dtype == np.float32
    assert np.abs(back - image[0]).max() <= 1 / PNG_GREYS + 1e-6
    assert (back[0, 0], back[0, 1]) == (-1, 1)


def test_png_has_one_scale_and_low_frequencies_at_the_bottom(tmp_path):
    from PIL import Image

    image = SILENCE.copy()
    image[0] = 0  # nothing brighter: autoscaled greys would make it white
    save_png(tmp_path / "x.png", image)
    grey = np.asarray(Image.open(tmp_path / "x.png"))
    assert grey.shape == (64, 256)
    assert set(grey[-1]) == {128}
    assert set(grey[:-1].ravel()) == {0}


def test_a_missing_and_a_colour_png_are_refused_by_name(tmp_path):
    from PIL import Image

    Image.new("RGB", (256, 64)).save(tmp_path / "plot.png")
    with pytest.raises(ValueError, match=r"plot\.png is a RGB picture"):
        image_to_audio(tmp_path / "plot.png", DEFAULT)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        image_to_audio(tmp_path / "none.png", DEFAULT)


# --- back to audio


def test_silence_comes_back_as_digital_silence():
    audio = image_to_audio(SILENCE, DEFAULT)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 0.5 / 32768


@pytest.mark.parametrize("n_frames", [16, 64])
def test_duration_is_that_of_the_frames(n_frames):
    audio = image_to_audio(np.zeros((64, n_frames)), DEFAULT)
    assert audio.dtype == np.float32
    assert audio.shape == ((n_frames - 1) * DEFAULT.hop_length,)


@pytest.mark.parametrize("hz", [220, 1000, 4000])
def test_a_tone_comes_back_at_its_frequency_and_level(hz):
    sound = tone(hz, 1, amplitude=0.2)
    audio = image_to_audio(audio_to_image(sound, DEFAULT), DEFAULT)
    band = 8000 / 64 if hz > 1000 else 46  # Hz between band centres there, at least
    assert loudest_hz(audio) == pytest.approx(hz, abs=0.8 * band)
    assert np.std(audio) / np.std(sound) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("name", ["001", "050"])
def test_speech_comes_back_within_two_decibels_a_cell(name):
    image = audio_to_image(speech(name), DEFAULT)[:, :256]
    again = audio_to_image(image_to_audio(image, DEFAULT), DEFAULT)[:, : image.shape[1]]
    db = np.abs(again - image) * DEFAULT.top_db / 2
    assert db.mean() < 2  # measured 1.1 to 1.2; another moment of the same speech is 17 away
    assert db[image > -0.5].mean() < 1.5


def test_inversion_is_deterministic_and_accepts_batches_of_one(tmp_path):
    image = audio_to_image(speech()[:8_000], DEFAULT)
    first = image_to_audio(image, DEFAULT)
    np.testing.assert_array_equal(first, image_to_audio(image[None], DEFAULT))
    save_png(tmp_path / "x.png", image)
    for path in (tmp_path / "x.png", str(tmp_path / "x.png")):
        from_png = image_to_audio(path, DEFAULT)
        np.testing.assert_array_equal(from_png, image_to_audio(load_png(path), DEFAULT))


def test_magnitudes_reach_the_mel_power_given():
    mel = audio_to_mel(speech()[:32_000], DEFAULT)
    magnitude = mel_to_magnitude(mel, DEFAULT)
    assert magnitude.shape == (513, mel.shape[1])
    assert (magnitude >= 0).all()
    error = mel_filters(DEFAULT) @ magnitude**2 - mel
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(mel)


@pytest.mark.parametrize("shape", [(80, 256), (256, 64), (2, 64, 256), (1, 1, 64, 256), (64,)])
def test_a_picture_of_another_shape_is_refused_naming_both(shape):
    with pytest.raises(ValueError, match="needed: ") as caught:
        image_to_audio(np.zeros(shape), DEFAULT)
    assert one_sentence(caught.value, "(64, frames)")


def test_a_picture_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="2 values of the picture are NaN"):
        image_to_audio(np.where(np.arange(64 * 16).reshape(64, 16) < 2, np.nan, 0), DEFAULT)
