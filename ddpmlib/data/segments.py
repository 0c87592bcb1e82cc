"""Segmentation: mel-spectrograms of recordings, alone or laid end to end, cut to equal length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

import numpy as np

from ddpmlib.data.manifest import SPLITS, Entry

Labels = Callable[[str], tuple]  # of a recording, by its path


def unlabelled(file: str) -> tuple:
    """No labels: any two recordings may be joined."""
    return ()


SILENCE = -1.0  # lowest value of a mel-spectrogram


def segment(mel: np.ndarray, n_frames: int, overlap: float, padding: float = SILENCE) -> np.ndarray:
    """Cut (n_mels, frames) into (n, 1, n_mels, n_frames) float16, at `window_starts`.

    A short mel-spectrogram is padded at its end.
    """
    mel = _pad(mel, n_frames, padding).astype(np.float16)
    starts = window_starts(mel.shape[1], n_frames, overlap)
    return np.stack([mel[None, :, start : start + n_frames] for start in starts])


def window_starts(frames: int, n_frames: int, overlap: float) -> np.ndarray:
    """First frames of windows of `n_frames` that cover `frames`.

    Evenly spaced; they overlap by at least this share, so that the last one ends at the last frame.
    """
    step = max(1, round(n_frames * (1 - overlap)))
    rest = max(0, frames - n_frames)
    return np.linspace(0, rest, -(-rest // step) + 1).round().astype(int)


def join(
    entries: Sequence[Entry], n_frames: int, overlap: float, seed: int, labels: Labels = unlabelled
) -> list[Entry]:
    """Lay the recordings of each split end to end, in an order drawn from the seed.

    Args:
        labels: of a file; recordings with different ones come into different sequences.

    Returns:
        The entries in that order, `mels` of each being the segments that begin in it; then those
        that could not be used.
    """
    joined = []
    for split in SPLITS:
        used = [entry for entry in entries if entry.split == split and entry.frames]
        order = np.random.default_rng(seed).permutation(len(used))
        order = sorted(order, key=lambda i: str(labels(used[i].file)))  # stable: drawn within
        for sequence in sequences([used[i] for i in order], labels):
            begin_in = [covered[0] for covered in _covered(sequence, n_frames, overlap)]
            counts = np.bincount(begin_in, minlength=len(sequence))
            joined += [replace(e, mels=int(n)) for e, n in zip(sequence, counts, strict=True)]
    return joined + [entry for entry in entries if not entry.frames]


def sequences(entries: Sequence[Entry], labels: Labels = unlabelled) -> list[list[Entry]]:
    """The entries that `join` ordered, split at each change of split or labels."""
    grouped = groupby(entries, key=lambda entry: (entry.split, labels(entry.file)))
    return [list(sequence) for _, sequence in grouped]


def recordings_in_segments(
    entries: Sequence[Entry], n_frames: int, overlap: float, labels: Labels = unlabelled
) -> list[list[Entry]]:
    """For each segment the recordings in it: several of those that `join` laid end to end."""
    if not entries[0].frames:
        return [[entry] for entry in entries for _ in range(entry.mels)]
    return [
        [sequence[i] for i in covered]
        for sequence in sequences(entries, labels)
        for covered in _covered(sequence, n_frames, overlap)
    ]


def pieces(
    entries: Sequence[Entry], n_frames: int, overlap: float, joined: bool, labels: Labels
) -> list[list[tuple[int, int]]]:
    """For each segment the indices of the entries in it, and from which frame of each it shows.

    That is below 0 where an entry begins inside of the segment. All entries have frames.
    """
    if not joined:
        starts = [window_starts(entry.frames, n_frames, overlap) for entry in entries]
        return [[(i, start)] for i, each in enumerate(starts) for start in each.tolist()]
    found, before = [], 0
    for sequence in sequences(entries, labels):
        begins = np.cumsum([0, *(entry.frames for entry in sequence)])
        starts = window_starts(int(begins[-1]), n_frames, overlap)
        for start, covered in zip(starts, _covered(sequence, n_frames, overlap), strict=True):
            found.append([(before + i, int(start - begins[i])) for i in covered])
        before += len(sequence)
    return found


def joined_mels(
    entries: Sequence[Entry],
    mels: Iterable[np.ndarray],
    n_frames: int,
    overlap: float,
    labels: Labels = unlabelled,
    padding: float = SILENCE,
) -> Iterator[np.ndarray]:
    """Cut the segments that `join` counted, (1, 1, n_mels, n_frames) each.

    Args:
        entries: in the order that `join` gave, all with frames.
        mels: (1, 1, n_mels, frames) of each. Held at once: one of them, and less than a segment.
    """
    mels = iter(mels)
    for sequence in sequences(entries, labels):
        frames = sum(entry.frames for entry in sequence)
        yield from segment_blocks(islice(mels, len(sequence)), frames, n_frames, overlap, padding)


def segment_blocks(
    blocks: Iterable[np.ndarray],
    frames: int,
    n_frames: int,
    overlap: float,
    padding: float = SILENCE,
) -> Iterator[np.ndarray]:
    """Segments (..., n_mels, n_frames) of blocks (..., n_mels, any) laid end to end, `frames` wide.

    As `segment` cuts them; held at once: one block, and less than a segment.
    """
    blocks = iter(blocks)
    held, begin = next(blocks), 0
    left = frames - held.shape[-1]
    for start in window_starts(frames, n_frames, overlap):
        held, begin = held[..., start - begin :], start
        while held.shape[-1] < n_frames and left:
            block = next(blocks)
            held, left = np.concatenate([held, block], axis=-1), left - block.shape[-1]
        yield _pad(held, n_frames, padding)[..., :n_frames]


def _covered(sequence: Sequence[Entry], n_frames: int, overlap: float) -> list[range]:
    """For each segment the indices of the entries of a sequence that it covers."""
    ends = np.cumsum([entry.frames for entry in sequence])
    starts = window_starts(int(ends[-1]), n_frames, overlap)
    first = np.searchsorted(ends, starts, side="right")
    last = np.searchsorted(ends, starts + n_frames, side="left").clip(max=len(sequence) - 1)
    return [range(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _pad(mel: np.ndarray, n_frames: int, padding: float) -> np.ndarray:
    """At least n_frames wide."""
    missing = n_frames - mel.shape[-1]
    if missing <= 0:
        return mel
    return np.pad(mel, [(0, 0)] * (mel.ndim - 1) + [(0, missing)], constant_values=padding)
