"""Forced alignment: when each word and phone of a known text is spoken in a recording.

Acoustic model and search are those of pocketsphinx (Huggins-Daines et al. 2006): words first, with
pauses between them where there are any and the pronunciation that fits best, then the phones inside
the words.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ddpmlib.text.normalisation import BREAKS
from ddpmlib.text.pronunciation import SILENCE, Lexicon, dictionary

RATE = 16_000  # Hz, of the acoustic model
TICK = 0.01  # seconds between its frames
# A frame is the middle of a window of 25 ms, which begins where the frame is counted.
CENTRE = 0.0125
PAD = 0.3  # seconds of silence at both ends, else the first phone swallows the opening silence
OWN = r"#[0-9a-f]{8}"  # ending of a word that the dictionary has otherwise
GOOD, WORST, MARGIN = -20.0, -35.0, 5.0  # scores: never doubted, never accepted; before others


class AlignmentError(ValueError):
    """A text that cannot be found in a recording."""


@dataclass(frozen=True)
class Interval:
    """A phone or word between two times in seconds."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Alignment:
    """The words and phones of one recording without gaps; pauses are phones called SIL."""

    phones: tuple[Interval, ...]
    words: tuple[Interval, ...]
    score: float = 0.0  # mean log likelihood of a frame; right texts have -5 to -15

    def __post_init__(self):
        # JSON brings lists.
        for name in ("phones", "words"):
            intervals = getattr(self, name)
            intervals = (i if isinstance(i, Interval) else Interval(*i) for i in intervals)
            object.__setattr__(self, name, tuple(intervals))


def align(samples: np.ndarray, words: Sequence[str], lexicon: Lexicon | None = None) -> Alignment:
    """Find the words in a recording of them.

    Args:
        samples: (n,) in [-1, 1] at RATE.
        words: as `spoken_words` makes them; breaks among them are ignored, since the recording
            itself shows its pauses.
        lexicon: of their pronunciations; by default the dictionary, and rules for unknown words.

    Raises:
        AlignmentError: no way through the recording fits the words at all.
        ValueError: no words, or one without a pronunciation.
    """
    words = [word for word in words if word not in BREAKS]
    if not words:
        raise ValueError("0 words to align; needed: at least 1")
    decoder, lexicon = _decoder(), lexicon or Lexicon()
    silence = np.zeros(int(PAD * RATE), np.int16)
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    pcm = np.concatenate([silence, pcm, silence]).tobytes()
    decoder.set_align_text(" ".join(_known(decoder, word, lexicon) for word in words))
    _decode(decoder, pcm)
    try:
        decoder.set_alignment()
        _decode(decoder, pcm)
    except RuntimeError as error:  # whatever it says: there is no path from beginning to end
        raise AlignmentError(f"the recording does not fit {' '.join(words)!r:.80}") from error
    return _read(decoder.get_alignment(), len(samples) / RATE, words)


def misfit(
    samples: np.ndarray,
    words: Sequence[str],
    others: Sequence[Sequence[str]],
    lexicon: Lexicon | None = None,
    score: float | None = None,
) -> str:
    """Why a text does not belong to a recording; empty if it does.

    A score between GOOD and WORST is compared with those of other texts.

    Args:
        others: texts of other recordings, best of about the same length.
        score: of the alignment with `words`, if it is known.
    """
    if score is None:
        score = score_of(samples, words, lexicon)
    if score >= GOOD:
        return ""
    best = max((score_of(samples, other, lexicon) for other in others), default=-np.inf)
    if score < max(WORST, best + MARGIN):
        needed = (
            f"{GOOD:g}, or {WORST:g} and {MARGIN:g} above the best of {len(others)} other texts"
        )
        return f"score {score:.1f} with its text, {best:.1f} with another; needed: {needed}"
    return ""


def score_of(samples: np.ndarray, words: Sequence[str], lexicon: Lexicon | None = None) -> float:
    """Score of an alignment, minus infinity where there is none."""
    try:
        return align(samples, words, lexicon).score
    except ValueError:
        return -np.inf


@lru_cache(maxsize=1)
def _decoder():
    from pocketsphinx import Decoder

    # With the default bestpath=True one-frame sentence marks enter the first pass, and a fifth of
    # short recordings fail in the second.
    return Decoder(lm=None, bestpath=False, loglevel="FATAL")


def _decode(decoder, pcm: bytes) -> None:
    decoder.reinit_feat()  # its noise removal remembers the clip before
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)  # in chunks a quarter of the phones differ
    decoder.end_utt()


def _known(decoder, word: str, lexicon: Lexicon) -> str:
    """A word of the decoder's dictionary with the pronunciations of the lexicon."""
    pronunciations = lexicon.pronounce(word)
    if pronunciations == dictionary().get(word):
        return word
    wanted = [" ".join(phones) for phones in pronunciations]
    # Named by them, since no word is ever forgotten and another lexicon may have others.
    name = f"{word}#{zlib.crc32('|'.join(wanted).encode()):08x}"
    if decoder.lookup_word(name) is None:
        for i, phones in enumerate(wanted, 1):
            spelling = name if i == 1 else f"{name}({i})"
            decoder.add_word(spelling, phones, i == len(wanted))
    return name


def _read(found, seconds: float, words: Sequence[str]) -> Alignment:
    phones, spoken, likelihoods = [], [], []
    for word in found:
        start, end = word.start, word.start + word.duration
        silent = word.name.startswith(("<", "["))
        likelihoods.append((word.score, word.duration, not silent))
        if silent:
            phones.append((SILENCE, start, end))
            continue
        name = re.sub(rf"({OWN})?(\(\d+\))?$", "", word.name)
        spoken.append((name, start, end))
        phones += [(phone.name, phone.start, phone.start + phone.duration) for phone in word]
    if [name for name, *_ in spoken] != list(words) or not seconds:
        raise AlignmentError(f"the recording does not fit {' '.join(words)!r:.80}")

    def clock(tick: int) -> float:
        return round(min(max(0.0, tick * TICK + CENTRE - PAD), seconds), 4)

    def intervals(ticks) -> tuple[Interval, ...]:
        timed = [Interval(name, clock(start), clock(end)) for name, start, end in ticks]
        return tuple(i for i in timed if i.end > i.start)

    joined = intervals(_without_neighbouring_silences(phones))
    # The ends of the recording belong to the first and last interval.
    first = Interval(joined[0].name, 0.0, joined[0].end)
    last = Interval(joined[-1].name, joined[-1].start, seconds)
    joined = (
        (first, *joined[1:-1], last) if len(joined) > 1 else (Interval(first.name, 0, seconds),)
    )
    # The worse of two: words that are not there, or speech that passes for a pause.
    total, frames, inside = np.array(likelihoods, float).T
    score = min(
        (total * part).sum() / (frames * part).sum() for part in (inside, np.ones_like(inside))
    )
    return Alignment(joined, intervals(spoken), round(float(score), 2))


def _without_neighbouring_silences(phones: list[tuple]) -> list[tuple]:
    kept: list[tuple] = []
    for name, start, end in phones:
        if kept and name == SILENCE == kept[-1][0]:
            kept[-1] = (SILENCE, kept[-1][1], end)
        else:
            kept.append((name, start, end))
    return kept
