"""Strips of sound -> pictures: one recording at a time, or short ones laid end to end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ddpmlib.manifest import SPLITS, Entry


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


def join(entries: Sequence[Entry], n_frames: int, overlap: float, seed: int) -> list[Entry]:
    """Lay the recordings of each split end to end, in an order drawn from the seed.

    Returns:
        The entries in that order, `pictures` of each being those that begin in it; then those
        that could not be used.
    """
    laid = []
    for split in SPLITS:
        used = [entry for entry in entries if entry.split == split and entry.frames]
        order = np.random.default_rng(seed).permutation(len(used))
        used = [used[i] for i in order]
        ends = np.cumsum([0, *(entry.frames for entry in used)])
        if not used:
            continue
        begin_in = np.searchsorted(ends, starts(int(ends[-1]), n_frames, overlap), side="right") - 1
        counts = np.bincount(begin_in, minlength=len(used))
        laid += [replace(e, pictures=int(n)) for e, n in zip(used, counts, strict=False)]
    return laid + [entry for entry in entries if not entry.frames]


def joined_pictures(
    entries: Sequence[Entry], images: Iterable[np.ndarray], n_frames: int, overlap: float
) -> Iterator[np.ndarray]:
    """Cut the pictures that `join` counted, (1, 1, n_mels, n_frames) each.

    Args:
        entries: in the order that `join` gave, all with frames.
        images: (1, 1, n_mels, frames) of each. Held at once: one of them, and less than a picture.
    """
    images = iter(images)
    for split in SPLITS:
        left = sum(entry.frames for entry in entries if entry.split == split)
        if left == 0:
            continue
        strip, begin = next(images), 0
        left -= strip.shape[-1]
        for start in starts(left + strip.shape[-1], n_frames, overlap):
            strip, begin = strip[..., start - begin :], start
            while strip.shape[-1] < n_frames and left:
                image = next(images)
                strip, left = np.concatenate([strip, image], axis=-1), left - image.shape[-1]
            yield _filled(strip, n_frames)[..., :n_frames]


def _filled(strip: np.ndarray, n_frames: int) -> np.ndarray:
    """At least n_frames wide: silence follows."""
    missing = max(0, n_frames - strip.shape[-1])
    return np.pad(strip, [(0, 0)] * (strip.ndim - 1) + [(0, missing)], constant_values=-1)
