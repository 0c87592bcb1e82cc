"""The split of recordings into training and validation, before segmentation and augmentation.

Recordings that say the same in the same way stay on one side: copies, other microphones and formats
of one take, what sounds alike, and what the user groups, such as the recordings of a speaker.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from ddpmlib.spectrogram.mel import band_edges
from ddpmlib.spectrogram.params import SpectrogramParams

# Of a file's name: "_mic2", "-ch1", "_left"; "sp0.9-" of Kaldi's copies at another speed.
_MICROPHONE = r"[-_. ]?(mic|microphone|ch|chan|channel)[-_. ]?\d+$|[-_. ](left|right|l|r)$"
_SPEED = r"^(sp|vp)\d\.\d+[-_]|[-_](sp|vp|speed)\d\.\d+$"
# A signature has the course of a few bands in parts of equal length. Of 727 recordings no two were
# above ALIKE; as MP3, at 8 kHz, and a tenth faster or slower 95 of 100 recordings were.
BANDS, PARTS, HIGHEST, FLOOR_DB, SHORTEST = 8, 64, 4000.0, 30.0, 1.0  # Hz, dB, seconds
ALIKE, LENGTHS = 0.9, 1.25  # correlation; ratio of lengths up to which recordings are compared
BLOCK = 1024  # recordings compared with all others at once


def groups_of(
    files: Sequence[str],
    hashes: Sequence[str],
    signatures: Sequence[str],
    seconds: Sequence[float],
    own: Sequence[str],
) -> np.ndarray:
    """A number for each recording (files,), equal for those that stay on one side.

    Args:
        files: paths; those that differ in microphone, channel, speed or ending are one take.
        hashes: of their contents.
        signatures: see `signature`; empty where there is none.
        seconds: of each.
        own: groups by the user; empty where there is none.
    """
    certain = [*_equal(hashes), *_equal(list(map(take, files))), *_equal(own)]
    groups = _connected([*certain, *alike(signatures, seconds)], len(files))
    # Where all sound alike, such as takes of one word, nothing could be held out.
    return groups if groups.any() else _connected(certain, len(files))


def held_out(groups: np.ndarray, hashes: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Whether each recording is one of the validation split, (files,) bool.

    Which groups are drawn depends on contents and seed, not on names, order or number. They have at
    most `share` of the recordings, copies counted once, but at least one group is held out unless
    it is 0, and one is trained on.
    """
    contents: dict[int, set[str]] = {}
    for group, sha256 in zip(groups.tolist(), hashes, strict=True):
        contents.setdefault(group, set()).add(sha256)

    def rank(group: int) -> str:
        drawn = (f"{seed}:{sha256}".encode() for sha256 in contents[group])
        return min(hashlib.sha256(each).hexdigest() for each in drawn)

    left = max(1, round(share * len(set(hashes)))) if share and len(contents) > 1 else 0
    chosen: list[int] = []
    for group in sorted(contents, key=rank):
        if len(contents[group]) <= left and len(chosen) < len(contents) - 1:
            chosen.append(group)
            left -= len(contents[group])
    if share and len(contents) > 1 and not chosen:  # all of them are larger
        chosen = [min(contents, key=lambda group: (len(contents[group]), rank(group)))]
    return np.isin(groups, chosen)


def take(file: str) -> str:
    """Path of a recording without what differs between microphones and formats of one take."""
    path = PurePosixPath(file)
    stem = re.sub(_MICROPHONE, "", re.sub(_SPEED, "", path.stem), flags=re.IGNORECASE)
    return str(path.with_name(stem or path.stem))


def signature(mel: np.ndarray, params: SpectrogramParams) -> str:
    """What tells a recording (n_mels, frames) from all others, but not from its copies; base64.

    Empty for one that is shorter than SHORTEST or has no more than one level.
    """
    frames = mel.shape[1]
    if frames * params.hop_length < SHORTEST * params.sample_rate:
        return ""
    mel = mel[: max(1, int(np.searchsorted(band_edges(params)[1:-1], HIGHEST)))]
    mel = np.maximum(mel, np.quantile(mel, 0.99) - 2 * FLOOR_DB / params.top_db)
    bands = np.stack([b.mean(axis=0) for b in np.array_split(mel, min(BANDS, len(mel)))])
    sums = np.zeros((len(bands), frames + 1))
    sums[:, 1:] = bands.cumsum(axis=1)
    ends = np.linspace(0, frames, PARTS + 1)
    before = np.minimum(ends.astype(int), frames - 1)
    at_ends = sums[:, before] + (sums[:, before + 1] - sums[:, before]) * (ends - before)
    course = np.diff(at_ends, axis=1)
    course -= course.mean(axis=1, keepdims=True)  # another microphone changes the mean of a band
    if not (peak := np.abs(course).max()) > 1e-6:
        return ""
    return base64.b64encode((course / peak * 127).round().astype(np.int8).tobytes()).decode()


def alike(signatures: Sequence[str], seconds: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of recordings, by index, of about one length and with signatures that correlate."""
    known = np.array([i for i, each in enumerate(signatures) if each], int)
    if not len(known):
        return []
    rows = [np.frombuffer(base64.b64decode(signatures[i]), np.int8) for i in known]
    rows = np.stack(rows).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lengths, found = np.log(np.asarray(seconds)[known]), []
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        close = np.abs(lengths[part, None] - lengths) < np.log(LENGTHS)
        first, second = np.nonzero(np.triu(rows[part] @ rows.T, start + 1) * close > ALIKE)
        found += zip(known[start + first].tolist(), known[second].tolist(), strict=True)
    return found


def _connected(pairs: Sequence[tuple[int, int]], count: int) -> np.ndarray:
    """Number of its group for each of `count`, of which these pairs are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _equal(values: Sequence[str]) -> list[tuple[int, int]]:
    """Each value's first index with that of every later one; empty values equal none."""
    first: dict[str, int] = {}
    return [(first.setdefault(value, i), i) for i, value in enumerate(values) if value]
