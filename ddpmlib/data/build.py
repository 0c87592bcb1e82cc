"""Folder of recordings -> one `.npy` of mel-spectrograms, parameters and conditions beside it."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np

from ddpmlib.audio.metadata import TEXT, RecordingMetadata, read_metadata
from ddpmlib.audio.recording import find_audio
from ddpmlib.audio.tables import Recordings, read_text
from ddpmlib.data.conditions import (
    PHONE_CONDITION,
    Embedding,
    condition_arrays,
    condition_path,
    mel_texts,
    phone_array,
)
from ddpmlib.data.dataset import open_mels
from ddpmlib.data.manifest import MELS, SPLITS, Entry, summary
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.data.segments import join, joined_mels, recordings_in_segments
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import atomic_write, write_array
from ddpmlib.storage.json_lines import UTF8
from ddpmlib.storage.parameters import accepting_old_names
from ddpmlib.storage.paths import data_folder, fetch
from ddpmlib.text.corpus import (
    Aligned,
    Aligner,
    align_recordings,
    alignment_summary,
    alignments_path,
    write_alignments,
)

PRINTED = 10  # wrong rows of the metadata


@accepting_old_names
def build_dataset(
    folder: str | Path,
    name: str,
    preparation: Preparation | None = None,
    workers: int = -1,
    metadata: str | Path = "",
    embed: Embedding | None = None,
    aligner: Aligner | None = None,
) -> Path:
    """Folder of recordings -> `data/spectrograms/NAME.npy` and `NAME.json`; prints a summary.

    The arrays of the single recordings stay in `data/spectrograms/NAME/`; building again does
    only what is new.

    Args:
        metadata: of the recordings, see `metadata.read_metadata`; each of its columns becomes a
            condition, `NAME.COLUMN.npy`.
        embed: texts -> their vectors; then there is a condition "vectors" too.
        aligner: aligns the texts, or reads the TextGrids beside the recordings; then there is a
            condition "phones" too, and NAME.alignments.json.

    Raises:
        ValueError: a name with a folder or a point in it, no usable recording, or wrong metadata.
        OSError: see `prepare`.
    """
    # A point would make one set the conditions of another, as in my_voice.text.npy.
    if not name or Path(name).name != name or "." in name:
        raise ValueError(
            f"name is {name!r}; needed: a plain name without folders or points, like my_voice"
        )
    preparation = preparation or Preparation()
    arrays, root = data_folder() / "spectrograms" / name, fetch(folder)
    files = [path.relative_to(root).as_posix() for path in find_audio(root)]
    known = read_metadata(metadata, root, files)
    if aligner and PHONE_CONDITION in known.columns:
        raise ValueError(f"a column is called {PHONE_CONDITION!r}; needed: another name")
    groups = groups_by(preparation.group, files, known)
    listed = listed_files(preparation.validation_list, root, files)
    entries = prepare(folder, arrays, preparation, workers, groups, listed)
    known = known.without_identifiers()
    if preparation.join:
        n_frames, overlap = preparation.params.n_frames, preparation.overlap
        entries = join(entries, n_frames, overlap, preparation.seed, known.labels)
    print(summary(entries, preparation.params))
    for column in known.columns:
        values = [(value, e.file) for e in entries if (value := known.value(e.file, column))]
        example = ", such as {!r:.80} of {!r}".format(*values[0]) if values else ""
        found = f"of {len(values)} of {len(entries)} recordings{example}"
        print(f"{column}: {found}; {len(dict(values))} different")
    if groups:
        found = f"{len(set(groups.values()))} groups of {len(groups)} of {len(files)} recordings"
        print(f"group {preparation.group}: {found}")
    print(*known.notes, sep="\n", end="\n" * bool(known.notes))
    for problem in known.problems[:PRINTED]:
        print(f"{metadata}, {problem}")
    if (more := len(known.problems) - PRINTED) > 0:
        print(f"... and {more} more wrong rows, all named in {name}.json")
    aligned = None
    if aligner:
        texts = {e.file: (e.sha256, known.value(e.file, TEXT) or "") for e in entries if e.output}
        aligned = align_recordings(root, arrays, texts, preparation.params, aligner, workers)
        print(alignment_summary(aligned))
    return combine(entries, arrays, preparation, folder, known, embed, aligned)


def groups_by(group: str, files: Sequence[str], known: RecordingMetadata) -> dict[str, str]:
    """By file, what `Preparation.group` makes of it: its value in a column, or what a pattern finds
    in its path, in parentheses if there are any.

    Raises:
        ValueError: neither is there.
    """
    if not group:
        return {}
    if group in known.columns:
        found = {file: known.value(file, group) for file in files}
    else:
        try:
            matches = {file: re.search(group, file) for file in files}
        except re.error as error:
            raise ValueError(f"group is {group!r}, which is no pattern: {error}") from None
        found = {file: m[min(1, m.re.groups)] for file, m in matches.items() if m}
    groups = {file: value for file, value in found.items() if value}
    if not groups:
        have = ", ".join(known.columns) or "none"
        raise ValueError(
            f"group is {group!r}; needed: a column of the metadata (there is {have}), or a pattern "
            f"found in paths such as {files[0]!r}"
        )
    return groups


def listed_files(source: str | Path, root: Path, files: Sequence[str]) -> set[str]:
    """The recordings in a published list, one a line, without folder or ending too; # is a comment.

    Raises:
        FileNotFoundError: no such list, neither beside the recordings.
        ValueError: a line that names no recording, or several; or it lists all of them.
    """
    if not source:
        return set()
    path = root / source if (root / source).is_file() else fetch(source)
    recordings, found = Recordings(root, files), set()
    for number, line in enumerate(read_text(path)[0].splitlines(), 1):
        name = line.strip()
        named = recordings.called(name)
        if named or (name and not name.startswith("#")):
            if len({PurePosixPath(file).with_suffix("") for file in named}) != 1:
                raise ValueError(
                    f"{path}, line {number}: {name!r} is not the name of one recording"
                )
            found.update(named)
    if not 0 < len(found) < len(files):
        have = f"{path} lists {len(found)} of {len(files)} recordings"
        raise ValueError(f"{have}; needed: some to validate, others to train on")
    return found


def combine(
    entries: list[Entry],
    arrays: Path,
    preparation: Preparation,
    folder: str | Path = "",
    metadata: RecordingMetadata | None = None,
    embed: Embedding | None = None,
    aligned: Mapping[str, Aligned] | None = None,
) -> Path:
    """Bring the arrays of `prepare` into one file `arrays.npy`, described by `arrays.json`.

    Peak memory is that of one recording, and of all metadata. All files appear only when complete;
    those made earlier stay usable until then.

    Raises:
        ValueError: no usable recording among the entries, or an array that is not whole.
        OSError: cannot be written (no space, no permission).
    """
    used = [entry for entry in entries if entry.output]
    if not used:
        reasons = "; ".join(f"{e.file}: {e.reason}" for e in entries[:3])
        raise ValueError(f"none of {len(entries)} recordings can be used ({reasons})")
    metadata = metadata or RecordingMetadata()
    params, how = preparation.params, (preparation.params.n_frames, preparation.overlap)
    firsts = np.cumsum([0, *(entry.mels for entry in used)]).tolist()
    shape = (firsts[-1], 1, *params.image_size)
    segments = recordings_in_segments(used, *how, metadata.labels)
    texts, line = mel_texts(used, metadata, aligned or {}, preparation)
    print(line, end="\n" * bool(line))
    files = [[entry.file for entry in segment] for segment in segments]
    conditions = condition_arrays(metadata, files, embed, texts)
    if aligned is not None:
        known = phone_array(used, aligned, preparation, metadata.labels)
        conditions |= {PHONE_CONDITION: known}
    spans = [
        {"file": e.file, "sha256": e.sha256, "split": e.split, "first": first, MELS: e.mels}
        for e, first in zip(used, firsts[:-1], strict=True)
    ]
    description = {
        "folder": str(folder),  # of the recordings, where it was when they were prepared
        "params": params.to_dict(),
        "shape": shape,
        "overlap": preparation.overlap,
        "join": preparation.join,
        "augment": preparation.augment,
        "conditions": {column: asdict(spec) for column, (spec, _) in conditions.items()},
        "files": spans,
        "seconds": {split: sum(e.seconds for e in used if e.split == split) for split in SPLITS},
        "skipped": [{"file": e.file, "reason": e.reason} for e in entries if e.reason],
        "rows": metadata.problems,
    }
    npy, sidecar = (arrays.with_name(f"{arrays.name}.{ending}") for ending in ("npy", "json"))
    with ExitStack() as files:
        new_sidecar = files.enter_context(atomic_write(sidecar))  # the last one to appear
        new_sidecar.write_text(json.dumps(description, indent=1, ensure_ascii=False), **UTF8)
        for column, (_, rows) in conditions.items():
            new_rows = files.enter_context(atomic_write(condition_path(npy, column)))
            write_array(new_rows, rows.shape, [rows], rows.dtype)
        if aligned is not None:
            new = files.enter_context(atomic_write(alignments_path(npy)))
            write_alignments(new, aligned)
        new_npy = files.enter_context(atomic_write(npy))
        mels = (_open_array(entry, arrays, params) for entry in used)
        if preparation.join:
            mels = joined_mels(used, mels, *how, metadata.labels)
        write_array(new_npy, shape, mels)
        sidecar.unlink(missing_ok=True)  # never an old description beside new data
    return npy


def _open_array(entry: Entry, arrays: Path, params: SpectrogramParams) -> np.ndarray:
    path, needed = arrays / entry.output, entry.shape(params)
    if (array := open_mels(path)).shape != needed:
        raise ValueError(f"{path} has shape {array.shape}; needed: {needed}")
    return array
