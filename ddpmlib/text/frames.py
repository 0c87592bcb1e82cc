"""Phones with their times -> a row of numbers for each frame of a mel-spectrogram.

A frame has the index of its phone from 1 on, the position inside the phone (0...1) and the natural
logarithm of the phone's duration in seconds. Zeros follow the last phone; NaN is unknown.
"""

from collections.abc import Sequence

import numpy as np

from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.alignment import Interval

FEATURES = 3
AFTER_THE_END = 0.0  # all features of a frame that no phone covers


def phone_frames(
    phones: Sequence[Interval],
    names: Sequence[str],
    count: int,
    params: SpectrogramParams,
    speed: float = 1.0,
) -> np.ndarray:
    """(count, FEATURES) float32 of frames, the first of them in the middle of time 0.

    Args:
        phones: without gaps, from 0 on.
        names: of all phones; the first one has index 1.
        speed: above 0; the recording was made that many times as fast afterwards.

    Raises:
        ValueError: no phones, or one that is not among the names.
    """
    if not phones:
        raise ValueError("0 phones; needed: at least 1")
    index = {name: i for i, name in enumerate(names, 1)}
    if unknown := sorted({phone.name for phone in phones} - set(index)):
        raise ValueError(f"phone {unknown[0]!r} is unknown; needed: one of {' '.join(names)}")
    starts = np.array([phone.start for phone in phones])
    lengths = np.array([max(phone.seconds, 1e-3) for phone in phones])
    times = np.arange(count) * speed * params.hop_length / params.sample_rate
    which = np.searchsorted(starts, times, side="right").clip(min=1) - 1
    rows = np.empty((count, FEATURES), np.float32)
    rows[:, 0] = np.array([index[phone.name] for phone in phones])[which]
    rows[:, 1] = ((times - starts[which]) / lengths[which]).clip(0, 1)
    rows[:, 2] = np.log(lengths / speed)[which]
    # Half a frame of grace: the last frame of a recording may lie just behind its last sample.
    grace = 0.5 * params.hop_length / params.sample_rate
    rows[times > phones[-1].end + grace] = AFTER_THE_END
    return rows


def frames_of(seconds: float, params: SpectrogramParams, multiple: int = 1) -> int:
    """Frames from 0 to a time, rounded up to a multiple of some number."""
    frames = int(seconds * params.sample_rate / params.hop_length) + 1
    return -(-frames // multiple) * multiple
