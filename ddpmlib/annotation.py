"""Conditions of a data set: what a table says of recordings, as an array with a row a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ddpmlib.condition import Kind, Labels, Tokens, Vectors, check_rows, kind_of, rows
from ddpmlib.storage import fetch_beside
from ddpmlib.table import TEXT, Table

VECTORS = "vectors"
# Texts -> a vector for each (dim,), or a sequence of them (tokens, dim).
Embedding = Callable[[list[str]], Sequence[np.ndarray]]


def annotate(
    known: Table, shown: Sequence[Sequence[str]], embed: Embedding | None = None
) -> dict[str, tuple[Kind, np.ndarray]]:
    """What is known of pictures: for each column its kind of condition, and a row a picture.

    Args:
        shown: for each picture the recordings in it. They agree in their labels; their texts are
            joined, and where one is missing nothing is said.
        embed: makes the condition VECTORS of the texts.

    Raises:
        ValueError: vectors without texts, of different sizes, or a column of that name.
    """
    if embed and VECTORS in known.columns:
        raise ValueError(f"a column is called {VECTORS!r}; needed: another name, embed makes that")
    made = {}
    for column in known.columns:
        values = [_value(known, files, column) for files in shown]
        there = [value for value in values if value is not None]
        if not there:
            continue
        if column == TEXT:
            kind = Tokens.of(there)
        else:
            names = tuple(sorted(set(there)))
            kind = Labels(len(names), names)
        made[column] = kind, rows(kind, values, len(values)).numpy()
    if embed:
        texts = [_value(known, files, TEXT) for files in shown]
        made[VECTORS] = _embedded(texts, embed)
    return made


def array_of(npy: str | Path, column: str) -> Path:
    """Where the rows of a condition lie: beside the pictures, as NAME.COLUMN.npy."""
    return Path(npy).with_suffix(f".{column}.npy")


def open_condition(
    npy: str | Path, described: dict, column: str, pictures: int
) -> tuple[Kind, Path]:
    """Kind and array of a condition of a data set.

    Args:
        described: the conditions that its description names.

    Raises:
        ValueError: there is no such condition, or it is damaged.
    """
    if column not in described:
        have = ", ".join(described) or "none"
        raise ValueError(
            f"condition is {column!r}; {Path(npy).name} has: {have}; build it again with a table"
        )
    kind, path = kind_of(described[column]), fetch_beside(npy, f".{column}.npy")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = isinstance(found, np.ndarray) and found.shape == (pictures, *kind.shape)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile):
        whole = False
    if not whole:
        needed = (pictures, *kind.shape)
        raise ValueError(f"{array_of(npy, column)} is not whole; needed: rows of shape {needed}")
    try:
        check_rows(kind, found)
    except ValueError as error:
        raise ValueError(f"{array_of(npy, column)}: {error}") from None
    return kind, path


def _value(known: Table, files: Sequence[str], column: str) -> str | None:
    said = [known.said(file, column) for file in files]
    if None in said:
        return None
    return " ".join(said) if column == TEXT else said[0]


def _embedded(texts: list[str | None], embed: Embedding) -> tuple[Vectors, np.ndarray]:
    different = sorted({text for text in texts if text is not None})
    if not different:
        raise ValueError("no text is known to make vectors of; needed: a table with a column text")
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
    dimensions, dim = next(iter(sizes))
    length = max(map(len, vectors)) if dimensions == 2 else 0
    kind, of = Vectors(dim, length), dict(zip(different, vectors, strict=True))
    values = [of.get(text) for text in texts]
    return kind, rows(kind, values, len(values)).numpy()
