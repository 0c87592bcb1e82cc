"""Spectrogram parameters: checked by name, compared, written and read."""

import dataclasses
import warnings

import pytest
from cases import one_sentence

from ddpmlib.spectrogram.params import DEFAULT, PRESETS, SpectrogramParams


def test_the_default_parameters_are_the_originals_image_size_of_four_seconds():
    assert DEFAULT.image_size == (64, 256)
    assert DEFAULT.seconds == pytest.approx(4.096)
    assert DEFAULT.hop_length <= DEFAULT.n_fft / 4
    DEFAULT.check_overlap()


def test_a_hop_above_half_a_window_is_refused_naming_both():
    with pytest.raises(ValueError, match="hop_length 2067") as caught:
        PRESETS["12 s, original"].check_overlap()
    assert one_sentence(caught.value, "2048", "1024", "4134")
    with pytest.raises(ValueError, match="hop_length 513 is more than half of n_fft 1024"):
        SpectrogramParams(hop_length=513).check_overlap()
    with pytest.warns(UserWarning, match="2067"):  # usable with a longer window
        PRESETS["12 s"].check_overlap()


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


def test_parameters_survive_json_and_whole_hertz_are_the_same():
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
