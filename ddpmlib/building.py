"""Folder of recordings -> one `.npy` of pictures, with its parameters and conditions beside it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ddpmlib import audio
from ddpmlib.annotation import Embedding, annotate, array_of
from ddpmlib.cutting import join, joined_pictures, recordings_shown
from ddpmlib.dataset import open_pictures
from ddpmlib.manifest import UTF8, Entry, summary
from ddpmlib.preparation import Preparation, prepare
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.storage import atomic_write, data_folder, write_array
from ddpmlib.table import Table, read_table

SHOWN = 10  # wrong rows of a table that are printed


def build(
    folder: str | Path,
    name: str,
    preparation: Preparation | None = None,
    workers: int = -1,
    table: str | Path = "",
    embed: Embedding | None = None,
) -> Path:
    """Folder of recordings -> `data/spectrograms/NAME.npy` and `NAME.json`; prints a summary.

    The arrays of the single recordings stay in `data/spectrograms/NAME/`; building again does
    only what is new.

    Args:
        table: what is known about the recordings, see `table.read_table`; each of its columns
            becomes a condition, `NAME.COLUMN.npy`.
        embed: texts -> their vectors; then there is a condition "vectors" too.

    Raises:
        ValueError: a name with a folder or a point in it, no usable recording, or no such table.
        OSError: see `prepare`.
    """
    # A point would make the pictures of one set the conditions of another, as in my_voice.text.npy.
    if not name or Path(name).name != name or "." in name:
        raise ValueError(
            f"name is {name!r}; needed: a plain name without folders or points, like my_voice"
        )
    preparation = preparation or Preparation()
    folder_of_arrays = data_folder() / "spectrograms" / name
    root = audio.fetch(folder)
    known = read_table(
        table, root, [p.relative_to(root).as_posix() for p in audio.find_audio(root)]
    )
    entries = prepare(folder, folder_of_arrays, preparation, workers)
    if preparation.join:
        n_frames, overlap = preparation.params.n_frames, preparation.overlap
        entries = join(entries, n_frames, overlap, preparation.seed, known.labels)
    print(summary(entries, preparation.params))
    for column in known.columns:
        said = [(e.file, known.said(e.file, column)) for e in entries]
        said = [pair for pair in said if pair[1]]
        example = f", such as {said[0][1]!r} of {said[0][0]!r}" if said else ""
        print(f"{column}: of {len(said)} of {len(entries)} recordings{example}")
    for problem in known.problems[:SHOWN]:
        print(f"{table}, {problem}")
    if len(known.problems) > SHOWN:
        print(f"... and {len(known.problems) - SHOWN} more wrong rows, all named in {name}.json")
    return combine(entries, folder_of_arrays, preparation, folder, known, embed)


def combine(
    entries: list[Entry],
    arrays: Path,
    preparation: Preparation,
    folder: str | Path = "",
    known: Table | None = None,
    embed: Embedding | None = None,
) -> Path:
    """Bring the arrays of `prepare` into one file `arrays.npy`, described by `arrays.json`.

    Peak memory is that of one recording, and of what is known of all. All files appear only when
    complete; those made earlier stay usable until then.

    Raises:
        ValueError: no usable recording among the entries, or an array that is not whole.
        OSError: cannot be written (no space, no permission).
    """
    used = [entry for entry in entries if entry.output]
    if not used:
        reasons = "; ".join(f"{e.file}: {e.reason}" for e in entries[:3])
        raise ValueError(f"none of {len(entries)} recordings can be used ({reasons})")
    known = known or Table()
    params, n_frames = preparation.params, preparation.params.n_frames
    firsts = np.cumsum([0, *(entry.pictures for entry in used)])
    shape = (int(firsts[-1]), 1, *params.image_size)
    shown = recordings_shown(used, n_frames, preparation.overlap, known.labels)
    conditions = annotate(known, [[e.file for e in entries] for entries in shown], embed)
    description = {
        "folder": str(folder),  # of the recordings, where it was when they were prepared
        "params": params.to_dict(),
        "shape": shape,
        "overlap": preparation.overlap,
        "join": preparation.join,
        "augment": preparation.augment,
        "conditions": {column: asdict(kind) for column, (kind, _) in conditions.items()},
        "files": [
            {
                "file": e.file,
                "sha256": e.sha256,
                "split": e.split,
                "first": int(first),
                "pictures": e.pictures,
            }
            for e, first in zip(used, firsts[:-1], strict=True)
        ],
        "skipped": [{"file": e.file, "reason": e.reason} for e in entries if e.reason],
        "rows": known.problems,
    }
    npy, sidecar = arrays.with_name(arrays.name + ".npy"), arrays.with_name(arrays.name + ".json")
    with ExitStack() as files:
        new_sidecar = files.enter_context(atomic_write(sidecar))  # the last one to appear
        new_sidecar.write_text(json.dumps(description, indent=1, ensure_ascii=False), **UTF8)
        for column, (_, rows) in conditions.items():
            new_rows = files.enter_context(atomic_write(array_of(npy, column)))
            write_array(new_rows, rows.shape, [rows], rows.dtype)
        new_npy = files.enter_context(atomic_write(npy))
        pictures = _arrays_of(used, arrays, params)
        if preparation.join:
            pictures = joined_pictures(used, pictures, n_frames, preparation.overlap, known.labels)
        write_array(new_npy, shape, pictures)
        sidecar.unlink(missing_ok=True)  # never an old description beside new data
    return npy


def _arrays_of(used: list[Entry], arrays: Path, params: SpectrogramParams) -> Iterator[np.ndarray]:
    for entry in used:
        path, needed = arrays / entry.output, entry.shape(params)
        array = open_pictures(path)
        if array.shape != needed:
            raise ValueError(f"{path} has shape {array.shape}; needed: {needed}")
        yield array
