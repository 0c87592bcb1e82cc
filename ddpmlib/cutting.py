"""Strips of sound -> pictures: one recording at a time, or short ones laid end to end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from ddpmlib.manifest import SPLITS, Entry

Labels = Callable[[str], tuple]  # what is known of a recording, by its path


def no_labels(file: str) -> tuple:
    """Nothing is known: all recordings are alike."""
    return ()


def cut(image: np.ndarray, n_frames: int, overlap: float) -> np.ndarray:
    """Cut (n_mels, frames) into pictures (n, 1, n_mels, n_frames) float16, from `starts` on.

    A short image is padded with silence at its end.
    """
    image = _filled(image, n_frames).astype(np.float16)
    first = starts(image.shape[1], n_frames, overlap)
    return np.stack([image[None, :, s : s + n_frames] for s in first])


def starts(frames: int, n_frames: int, overlap: float) -> np.ndarray:
    """Where pictures of `n_frames` begin on a strip of sound that is `frames` long.

    Evenly spaced; they overlap by at least the share asked for, so that the last one ends where
    the strip ends.
    """
    step = max(1, round(n_frames * (1 - overlap)))
    rest = max(0, frames - n_frames)
    return np.linspace(0, rest, -(-rest // step) + 1).round().astype(int)


def join(
    entries: Sequence[Entry], n_frames: int, overlap: float, seed: int, labels: Labels = no_labels
) -> list[Entry]:
    """Lay the recordings of each split end to end, in an order drawn from the seed.

    Args:
        labels: of a file; recordings with different ones are laid on different strips.

    Returns:
        The entries in that order, `pictures` of each being those that begin in it; then those
        that could not be used.
    """
    laid = []
    for split in SPLITS:
        used = [entry for entry in entries if entry.split == split and entry.frames]
        order = np.random.default_rng(seed).permutation(len(used))
        order = sorted(order, key=lambda i: str(labels(used[i].file)))  # stable: drawn within
        for strip in strips([used[i] for i in order], labels):
            begin_in = [shown[0] for shown in _shown(strip, n_frames, overlap)]
            counts = np.bincount(begin_in, minlength=len(strip))
            laid += [replace(e, pictures=int(n)) for e, n in zip(strip, counts, strict=True)]
    return laid + [entry for entry in entries if not entry.frames]


def strips(entries: Sequence[Entry], labels: Labels = no_labels) -> list[list[Entry]]:
    """The entries that `join` laid end to end, strip by strip."""
    grouped = groupby(entries, key=lambda entry: (entry.split, labels(entry.file)))
    return [list(strip) for _, strip in grouped]


def recordings_shown(
    entries: Sequence[Entry], n_frames: int, overlap: float, labels: Labels = no_labels
) -> list[list[Entry]]:
    """For each picture the recordings in it: several of those that `join` laid end to end."""
    if not entries[0].frames:
        return [[entry] for entry in entries for _ in range(entry.pictures)]
    return [
        [strip[i] for i in shown]
        for strip in strips(entries, labels)
        for shown in _shown(strip, n_frames, overlap)
    ]


def joined_pictures(
    entries: Sequence[Entry],
    images: Iterable[np.ndarray],
    n_frames: int,
    overlap: float,
    labels: Labels = no_labels,
) -> Iterator[np.ndarray]:
    """Cut the pictures that `join` counted, (1, 1, n_mels, n_frames) each.

    Args:
        entries: in the order that `join` gave, all with frames.
        images: (1, 1, n_mels, frames) of each. Held at once: one of them, and less than a picture.
    """
    images = iter(images)
    for laid in strips(entries, labels):
        left = sum(entry.frames for entry in laid)
        strip, begin = next(images), 0
        left -= strip.shape[-1]
        for start in starts(left + strip.shape[-1], n_frames, overlap):
            strip, begin = strip[..., start - begin :], start
            while strip.shape[-1] < n_frames and left:
                image = next(images)
                strip, left = np.concatenate([strip, image], axis=-1), left - image.shape[-1]
            yield _filled(strip, n_frames)[..., :n_frames]


def _shown(strip: Sequence[Entry], n_frames: int, overlap: float) -> list[range]:
    """Which entries of a strip each of its pictures shows."""
    ends = np.cumsum([entry.frames for entry in strip])
    begin = starts(int(ends[-1]), n_frames, overlap)
    first = np.searchsorted(ends, begin, side="right")
    last = np.searchsorted(ends, begin + n_frames, side="left").clip(max=len(strip) - 1)
    return [range(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _filled(strip: np.ndarray, n_frames: int) -> np.ndarray:
    """At least n_frames wide: silence follows."""
    missing = max(0, n_frames - strip.shape[-1])
    return np.pad(strip, [(0, 0)] * (strip.ndim - 1) + [(0, missing)], constant_values=-1)
