"""A sentence to be spoken: its words, their phones, and when each of them is due."""

from collections.abc import Sequence

import numpy as np

from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.durations import DurationPredictor
from ddpmlib.text.normalisation import BREAKS
from ddpmlib.text.pronunciation import SILENCE, Lexicon

# Seconds of pauses: at the beginning and end of a sentence, so that two of them are a full stop;
# and at least inside it, where the predictor may be shorter.
EDGE, INSIDE = 0.12, 0.14
TINY = 1e-6  # seconds, of rounding
SPEEDS = (0.4, 2.5)  # beyond these no phone is recognised


def timed(
    words: Sequence[str], predictor: DurationPredictor, lexicon: Lexicon, speed: float = 1.0
) -> Alignment:
    """When the words and phones of a new sentence are due.

    Args:
        words: as `spoken_words` makes them, with breaks.
        speed: times as fast as the speaker, pauses too.

    Raises:
        ValueError: a word without a pronunciation, or speed out of range.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise ValueError(f"speed is {speed}; needed: {SPEEDS[0]} to {SPEEDS[1]}")
    pronounced = [(SILENCE,), *(_phones(word, lexicon) for word in words)]
    if pronounced[-1] != (SILENCE,):
        pronounced.append((SILENCE,))
    phones = [phone for word in pronounced for phone in word]
    seconds = predictor.predict(phones, edges(pronounced))
    silent = np.array([phone == SILENCE for phone in phones])
    seconds = np.where(silent, seconds.clip(min=INSIDE), seconds)
    seconds[[0, -1]] = EDGE
    ends = np.cumsum(seconds / speed, dtype=float).tolist()
    intervals = [Interval(*i) for i in zip(phones, [0.0, *ends[:-1]], ends, strict=True)]
    spoken, first = [], 1
    for name, word in zip(words, pronounced[1:], strict=False):
        last = first + len(word)
        if name not in BREAKS:
            spoken.append(Interval(name, intervals[first].start, intervals[last - 1].end))
        first = last
    return Alignment(tuple(intervals), tuple(spoken))


def part_of(alignment: Alignment, first: int, behind: int, pace: float = 1.0) -> Alignment:
    """Words number `first` ... `behind` - 1 alone, from 0 on, `pace` times as long."""
    start, end = alignment.words[first].start, alignment.words[behind - 1].end

    def rebased(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
        inside = (i for i in intervals if i.start >= start - TINY and i.end <= end + TINY)
        moved = ((i.name, (i.start - start) * pace, (i.end - start) * pace) for i in inside)
        return tuple(Interval(*i) for i in moved)

    return Alignment(rebased(alignment.phones), rebased(alignment.words))


def replaced(alignment: Alignment, index: int, word: Alignment) -> Alignment:
    """An alignment with the phones of another word in place of its word number `index`.

    Args:
        word: the new one, from 0 on, without pauses.
    """
    start, end = alignment.words[index].start, alignment.words[index].end
    later = start + word.phones[-1].end - end

    def changed(old: tuple[Interval, ...], new: tuple[Interval, ...]) -> tuple[Interval, ...]:
        before = [i for i in old if i.end <= start + TINY]
        after = [i for i in old if i.start >= end - TINY]
        moved = [Interval(i.name, i.start + start, i.end + start) for i in new]
        return (*before, *moved, *(Interval(i.name, i.start + later, i.end + later) for i in after))

    return Alignment(changed(alignment.phones, word.phones), changed(alignment.words, word.words))


def edges(pronounced: Sequence[Sequence[str]]) -> np.ndarray:
    """Whether each phone is the first, and the last of its word, (phones, 2)."""
    rows = []
    for word in pronounced:
        inside = range(len(word))
        pause = tuple(word) == (SILENCE,)
        rows += [(not pause and i == 0, not pause and i == len(word) - 1) for i in inside]
    return np.array(rows, np.float32)


def _phones(word: str, lexicon: Lexicon) -> tuple[str, ...]:
    return (SILENCE,) if word in BREAKS else lexicon.pronounce(word)[0]
