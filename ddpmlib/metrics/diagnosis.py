"""What came out of a model, in one sentence: noise, silence, too loud, copied, or fine.

A first look; whether it is good speech is measured by the other metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddpmlib.metrics.memorization import SOUNDING
from ddpmlib.metrics.speech import RATE, speech_share
from ddpmlib.spectrogram.params import SpectrogramParams

NOISE, SILENCE, SATURATED, COPIED, FINE = "noise", "silence", "too loud", "copied", "fine"
FEW_FRAMES = 0.05  # that sound, of all
LOUD_DB = 6.0  # above real speech on average: too high a guidance scale had 10, others at most 1
CORRELATION = 0.3  # of neighbouring frames; speech has 0.9, too loud samples 0.4, noise none
FAR, NEAR = 2.0, 0.5  # times the distance of real speech to the training data
SHARE = 0.5  # of the voice activity of real speech
SPEECH_STEPS = 1000  # of training, from which on the sample corpus sounds like speech


@dataclass(frozen=True)
class Clips:
    """Samples, or real speech: mels (n, 1, n_mels, n_frames), their sounds (samples,), and their
    distances to the training data in dB, see `memorization.nearest_neighbours`."""

    mels: np.ndarray
    sounds: Sequence[np.ndarray]
    distances: Sequence[float] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What samples are, of the names above, and the sentence that says why."""

    kind: str
    sentence: str


def diagnose(
    samples: Clips, real: Clips, params: SpectrogramParams, steps: int | None = None
) -> Diagnosis:
    """Diagnose samples beside real speech, held out from the training.

    Args:
        steps: of training, if they are known.
    """
    louder = (samples.mels.mean() - real.mels.mean()) * params.top_db / 2
    both = [np.mean(clips.distances) for clips in (samples, real) if len(clips.distances)]
    shares = _shares(samples, real, params.sample_rate)
    kind = FINE
    if _sounding(samples.mels) < FEW_FRAMES:
        kind = SILENCE
    elif _correlation(samples.mels) < CORRELATION:
        kind = NOISE
    elif louder > LOUD_DB:
        kind = SATURATED
    elif (shares and shares[0] < SHARE * shares[1]) or (len(both) == 2 and both[0] > FAR * both[1]):
        kind = NOISE
    elif len(both) == 2 and both[0] < NEAR * both[1]:
        kind = COPIED
    facts = [f"{steps} training steps"] if steps else []
    if shares:
        facts.append(f"voice activity {shares[0]:.0%}, in real speech {shares[1]:.0%}")
    if len(both) == 2:
        facts.append(f"{both[0]:.1f} dB from the training data, real speech {both[1]:.1f}")
    facts.append(f"{louder:+.0f} dB beside real speech")
    return Diagnosis(kind, f"{_WORDS[kind]} ({'; '.join(facts)}).")


_WORDS = {
    NOISE: f"What came out is noise: train longer, speech needs about {SPEECH_STEPS} steps",
    SILENCE: "What came out is silence: look at the training data, and train longer",
    SATURATED: "What came out is too loud everywhere: use a lower guidance scale",
    COPIED: "What came out is copied from the recordings: train on more of them, or shorter",
    FINE: "What came out is speech by these measures",
}


def _sounding(mels: np.ndarray) -> float:
    """Share of frames with a loud band."""
    return float((mels.max(axis=2) > SOUNDING).mean())


def _correlation(mels: np.ndarray) -> float:
    """Of neighbouring frames, around the mean of each band."""
    around = np.asarray(mels, np.float64) - mels.mean(axis=(0, 3), keepdims=True)
    now, after = around[..., :-1], around[..., 1:]
    return float((now * after).sum() / np.sqrt((now**2).sum() * (after**2).sum() + 1e-12))


def _shares(samples: Clips, real: Clips, sample_rate: int) -> list[float]:
    """Voice activity of both; nothing where the extra for it is not installed."""
    import librosa

    def share(sound: np.ndarray) -> float:
        return speech_share(librosa.resample(sound, orig_sr=sample_rate, target_sr=RATE))

    try:
        return [float(np.mean([share(s) for s in clips.sounds])) for clips in (samples, real)]
    except ImportError:
        return []
