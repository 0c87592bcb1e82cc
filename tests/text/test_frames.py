"""Phones in time as a row of numbers for each frame."""

import numpy as np
import pytest
from cases import RATE

from ddpmlib.data.preparation import AUGMENTATIONS
from ddpmlib.spectrogram.mel import frame_starts
from ddpmlib.spectrogram.params import PRESETS, SpectrogramParams
from ddpmlib.text.alignment import Interval
from ddpmlib.text.frames import AFTER_THE_END, FEATURES, frames_of, phone_frames

PARAMS = SpectrogramParams(hop_length=160)  # frames of 10 ms
NAMES = ("SIL", "AH", "S")
PHONES = (Interval("SIL", 0.0, 0.03), Interval("S", 0.03, 0.05), Interval("AH", 0.05, 0.09))


def test_each_frame_has_phone_position_and_duration():
    rows = phone_frames(PHONES, NAMES, 12, PARAMS)
    assert rows.dtype == np.float32
    assert rows[:, 0].tolist() == [1, 1, 1, 3, 3, 2, 2, 2, 2, 2, 0, 0]
    positions = [0, 1 / 3, 2 / 3, 0, 0.5, 0, 0.25, 0.5, 0.75, 1]
    assert rows[:10, 1].tolist() == pytest.approx(positions, abs=1e-3)
    seconds = [0.03] * 3 + [0.02] * 2 + [0.04] * 5
    assert np.exp(rows[:10, 2]) == pytest.approx(seconds)
    assert (rows[10:] == AFTER_THE_END).all()


def test_the_last_phone_lasts_half_a_frame_longer():
    for end, frames in ((0.04, 5), (0.036, 5), (0.034, 4), (0.03, 4)):
        rows = phone_frames([Interval("S", 0.0, end)], NAMES, 8, PARAMS)
        assert np.count_nonzero(rows[:, 0]) == frames, end


def test_a_faster_copy_has_fewer_frames_and_shorter_phones():
    rows = phone_frames(PHONES, NAMES, 8, PARAMS, speed=2.0)
    assert rows[:, 0].tolist() == [1, 1, 3, 2, 2, 0, 0, 0]
    assert np.exp(rows[:5, 2]) == pytest.approx([0.015, 0.015, 0.01, 0.02, 0.02])


@pytest.mark.parametrize("name", ["default", "80 mels", "12 s"])
@pytest.mark.parametrize("samples", [100, 16_000, 33_333])
def test_every_frame_of_a_recording_has_a_phone(name, samples):
    params = PRESETS[name]
    samples = max(samples, params.n_fft)  # a shorter one is padded to a window
    phones = [Interval("AH", 0.0, samples / params.sample_rate)]
    for speed in [1.0, *(change.get("speed", 1.0) for change in AUGMENTATIONS.values())]:
        count = len(frame_starts(samples, params, speed))
        rows = phone_frames(phones, NAMES, count, params, speed)
        assert (rows[:, 0] == 2).all()
        assert np.exp(rows[0, 2]) == pytest.approx(samples / params.sample_rate / speed)


@pytest.mark.parametrize("multiple", [1, 8])
def test_so_many_frames_cover_a_time(multiple):
    for samples in (1, 159, 160, 161, 5000):
        seconds = samples / RATE
        count = frames_of(seconds, PARAMS, multiple)
        assert count % multiple == 0
        rows = phone_frames([Interval("AH", 0.0, seconds)], NAMES, count + 1, PARAMS)
        covered = np.count_nonzero(rows[:, 0])
        assert 0 <= count - covered < multiple or covered - count == 1
        assert (count - 1 - multiple) * 0.01 < seconds


def test_rows_of_no_duration_are_finite():
    phones = [Interval("S", 0.0, 0.0), Interval("AH", 0.0, 0.02)]
    rows = phone_frames(phones, NAMES, 3, PARAMS)
    assert rows.shape == (3, FEATURES)
    assert np.isfinite(rows).all()
    assert rows[0, 0] == 2


def test_what_has_no_row_is_refused():
    with pytest.raises(ValueError, match="0 phones; needed: at least 1"):
        phone_frames([], NAMES, 3, PARAMS)
    with pytest.raises(ValueError, match="phone 'ZH' is unknown; needed: one of SIL AH S"):
        phone_frames([Interval("ZH", 0.0, 1.0)], NAMES, 3, PARAMS)
