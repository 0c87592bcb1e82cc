"""Condition arrays of a data set: metadata of recordings as a row for each mel-spectrogram."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ddpmlib.audio.metadata import TEXT, RecordingMetadata
from ddpmlib.data.manifest import Entry
from ddpmlib.data.preparation import Preparation, changes
from ddpmlib.data.segments import Labels, joined_mels, pieces, segment, unlabelled
from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    PhoneCondition,
    TextCondition,
    condition_spec,
)
from ddpmlib.models.condition_rows import check_conditions, encode_conditions
from ddpmlib.spectrogram.mel import frame_starts
from ddpmlib.storage.paths import fetch_beside
from ddpmlib.text.corpus import Aligned
from ddpmlib.text.frames import AFTER_THE_END, FEATURES, phone_frames
from ddpmlib.text.pronunciation import PHONES, SILENCE

PHONE_CONDITION, VECTORS = "phones", "vectors"
ALIGNED, CUT = "aligned", "cut"  # pieces of recordings, with and without known words
# Texts -> a vector for each (dim,), or a sequence of them (tokens, dim).
Embedding = Callable[[list[str]], Sequence[np.ndarray]]
SpecAndRows = tuple[ConditionSpec, np.ndarray]


def condition_arrays(
    metadata: RecordingMetadata,
    recordings: Sequence[Sequence[str]],
    embed: Embedding | None = None,
    texts: Sequence[str | None] | None = None,
) -> dict[str, SpecAndRows]:
    """For each column of the metadata its ConditionSpec, and a row a mel-spectrogram.

    Args:
        recordings: files of those in each mel-spectrogram. They agree in their labels; their texts
            are joined, and where one is missing the row is the null condition.
        embed: makes the condition VECTORS of the texts.
        texts: those of the mel-spectrograms, where they are not the texts of whole recordings.

    Raises:
        ValueError: vectors without texts, of different sizes, or a column of that name.
    """
    if embed and VECTORS in metadata.columns:
        raise ValueError(f"a column is called {VECTORS!r}; needed: another name, embed makes that")
    arrays, given = {}, {} if texts is None else {TEXT: list(texts)}
    for column in metadata.columns:
        values = given.get(column) or _values(metadata, recordings, column)
        if known := [value for value in values if value is not None]:
            names = tuple(sorted(set(known)))
            text = column == TEXT
            spec = TextCondition.of(known) if text else ClassCondition(len(names), names)
            arrays[column] = spec, encode_conditions(spec, values, len(values)).numpy()
    if embed:
        values = given.get(TEXT) or _values(metadata, recordings, TEXT)
        arrays[VECTORS] = _embedded(values, embed)
    return arrays


def mel_texts(
    entries: Sequence[Entry],
    metadata: RecordingMetadata,
    aligned: Mapping[str, Aligned],
    preparation: Preparation,
) -> tuple[list[str | None], str]:
    """The text of each mel-spectrogram, None where it is unknown; and a line on them, to print.

    A piece of a recording has the words that are aligned to it, without an alignment none. Only of
    joined recordings, those that are not longer than a mel-spectrogram keep their texts then.

    Args:
        entries: as `join` ordered them, all with arrays.
    """
    params, n_frames = preparation.params, preparation.params.n_frames
    copies = [copy for e in entries for copy in _copies(e, aligned.get(e.file), preparation)]
    wholes = [replace(entry, frames=frames) for entry, frames, _ in copies]
    how = (n_frames, preparation.overlap, preparation.join, metadata.labels)

    def words(i: int, first: int) -> tuple[str | None, str]:
        """What is said from a frame of a recording on, None if unknown; ALIGNED, CUT or neither."""
        (entry, frames, speed), last = copies[i], first + n_frames
        text, one = metadata.value(entry.file, TEXT), aligned.get(entry.file)
        if text is None or (first <= 0 and frames <= last):
            return text, ""
        if one and one.alignment and one.alignment.words:
            rate = params.sample_rate / params.hop_length / speed
            timed = ((w.name, rate * (w.start + w.end) / 2) for w in one.alignment.words)
            return " ".join(name for name, middle in timed if first <= middle < last), ALIGNED
        return (text, "") if preparation.join and frames <= n_frames else (None, CUT)

    texts, kinds = [], Counter()
    for each in pieces(wholes, *how):
        parts, ways = zip(*(words(*piece) for piece in each), strict=True)
        texts.append(None if None in parts else " ".join(filter(None, parts)) or None)
        kinds[CUT if CUT in ways else ALIGNED if ALIGNED in ways else ""] += 1
    line = f"{TEXT}: {kinds[ALIGNED]} of {len(texts)} mel-spectrograms are pieces that have their "
    line += f"own words, {kinds[CUT]} are pieces that have none, since no words are aligned to them"
    return texts, line if kinds.keys() - {""} else ""


def _copies(entry: Entry, one: Aligned | None, how: Preparation) -> list[tuple[Entry, int, float]]:
    """A recording and its augmented copies, with frames and speed of each."""
    params = how.params
    speeds = [change.get("speed", 1.0) for change in changes(how, entry.split)]
    if one and one.samples:
        frames = [len(frame_starts(one.samples, params, speed)) for speed in speeds]
    elif entry.frames:  # of all of them together
        ends = np.cumsum([0, *(1 / speed for speed in speeds)])
        frames = np.diff((ends / ends[-1] * entry.frames).round().astype(int)).tolist()
    elif entry.mels == len(speeds):
        frames = [params.n_frames] * len(speeds)
    else:  # some of them are cut, and nobody knows which: one that is cut as often
        step = max(1, round(params.n_frames * (1 - how.overlap)))
        speeds, frames = [1.0], [params.n_frames + step * (entry.mels - 1)]
    return [(entry, *copy) for copy in zip(frames, speeds, strict=True)]


def phone_array(
    entries: Sequence[Entry],
    aligned: Mapping[str, Aligned],
    preparation: Preparation,
    labels: Labels = unlabelled,
) -> SpecAndRows:
    """A phone for each frame, cut, joined and changed in speed as the mel-spectrograms are.

    Recordings without an alignment have unknown phones.

    Args:
        entries: as `join` ordered them, all with arrays.

    Raises:
        ValueError: no recording is aligned.
    """
    found = [one.alignment for one in aligned.values() if one.alignment]
    if not found:
        reasons = "; ".join(f"{one.file}: {one.reason}" for one in list(aligned.values())[:3])
        raise ValueError(f"none of {len(aligned)} recordings could be aligned ({reasons})")
    names = {phone.name for alignment in found for phone in alignment.phones}
    english = names <= {SILENCE, *PHONES}
    names = (SILENCE, *PHONES) if english else (SILENCE, *sorted(names - {SILENCE}))
    params, overlap = preparation.params, preparation.overlap
    rows = [_phone_frames(entry, aligned.get(entry.file), names, preparation) for entry in entries]
    if preparation.join:
        rows = [np.concatenate(each).T[None, None] for each in rows]
        how = (params.n_frames, overlap, labels, AFTER_THE_END)
        segments = list(joined_mels(entries, rows, *how))
    else:
        segments = [
            segment(one.T, params.n_frames, overlap, AFTER_THE_END) for each in rows for one in each
        ]
    array = np.concatenate(segments)[:, 0].transpose(0, 2, 1).astype(np.float32)
    return PhoneCondition(names, params.n_mels, params.n_frames), array


def _phone_frames(
    entry: Entry, one: Aligned | None, names: Sequence[str], preparation: Preparation
) -> list[np.ndarray]:
    """(frames, FEATURES) of a recording, and of each of its augmented copies."""
    params, known = preparation.params, one is not None and one.alignment is not None
    copies = _copies(entry, one if known else None, preparation)
    if not known:
        return [np.full((count, FEATURES), np.nan, np.float32) for _, count, _ in copies]
    return [
        phone_frames(one.alignment.phones, names, count, params, speed)
        for _, count, speed in copies
    ]


def condition_path(npy: str | Path, column: str) -> Path:
    """Where the rows of a condition lie: beside the mel-spectrograms, as NAME.COLUMN.npy."""
    return Path(npy).with_suffix(f".{column}.npy")


def open_condition(
    npy: str | Path, described: dict, column: str, mels: int
) -> tuple[ConditionSpec, Path]:
    """Spec and array of a condition of a data set.

    Args:
        described: the conditions in the description of the data set.
        mels: the number of rows needed.

    Raises:
        ValueError: there is no such condition, or it is damaged.
    """
    if column not in described:
        have = ", ".join(described) or "none"
        how = "metadata, and align for those of long recordings" if column == TEXT else "metadata"
        raise ValueError(
            f"condition is {column!r}; {Path(npy).name} has: {have}; build it again with {how}"
        )
    spec, path = condition_spec(described[column]), fetch_beside(npy, f".{column}.npy")
    needed = (mels, *spec.shape)
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = isinstance(rows, np.ndarray) and rows.shape == needed
    except (OSError, ValueError, TypeError, EOFError, BadZipFile):
        whole = False
    if not whole:
        raise ValueError(
            f"{condition_path(npy, column)} is not whole; needed: rows of shape {needed}"
        )
    try:
        check_conditions(spec, rows)
    except ValueError as error:
        raise ValueError(f"{condition_path(npy, column)}: {error}") from None
    return spec, path


def _values(
    metadata: RecordingMetadata, recordings: Sequence[Sequence[str]], column: str
) -> list[str | None]:
    """One for each mel-spectrogram."""
    of_files = [[metadata.value(file, column) for file in files] for files in recordings]
    one = " ".join if column == TEXT else lambda labels: labels[0]
    return [None if None in values else one(values) for values in of_files]


def _embedded(texts: list[str | None], embed: Embedding) -> SpecAndRows:
    different = sorted({text for text in texts if text is not None})
    if not different:
        raise ValueError("no text is known to embed; needed: metadata with a column text")
    made = embed(different)
    try:
        vectors = [np.asarray(vector, np.float32) for vector in made]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"embed made {made!r:.60}; needed: vectors ({error})") from None
    sizes = {(vector.ndim, vector.shape[-1]) for vector in vectors if vector.ndim}
    if len(vectors) != len(different) or len(sizes) != 1 or next(iter(sizes))[0] not in (1, 2):
        raise ValueError(
            f"embed made {len(vectors)} vectors of {len(different)} texts, with dimensions and "
            f"sizes {sorted(sizes)}; needed: one each, all (dim,) or all (tokens, dim)"
        )
    for text, vector in zip(different, vectors, strict=True):
        if not vector.size or not np.isfinite(vector).all():
            raise ValueError(f"embed made {vector} of {text!r:.60}; needed: finite numbers")
    [(dimensions, dim)] = sizes
    spec = EmbeddingCondition(dim, max(map(len, vectors)) if dimensions == 2 else 0)
    vector_of = dict(zip(different, vectors, strict=True))
    values = [vector_of.get(text) for text in texts]
    return spec, encode_conditions(spec, values, len(values)).numpy()
