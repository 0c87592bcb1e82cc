"""Metadata of recordings: texts, speakers, languages.

They are read from a table (see `audio.tables`), or without one: FOLDERS and NAMES are the paths of
the recordings, TEXTS the transcripts that lie beside them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from ddpmlib.audio.tables import (
    DECIMAL,
    FILE,
    SPEAKER,
    TEXT,
    Recordings,
    is_shared,
    nfc,
    read_table,
    read_text,
)
from ddpmlib.storage.paths import fetch

FOLDERS = "folders"  # one folder for each speaker; "folders:2": those in the folders of the top
NAMES = "names"  # the text is the name of the file, as in all-circuits-busy-now.wav
TEXTS = "texts"  # the text lies beside the recording
ENDING = "*.[tT][xX][tT]"  # of their names
TRANS = ".trans.txt"  # ending of LibriSpeech's lists, one for the recordings of a folder
MICROPHONE = r"_mic\d+$"  # ending of VCTK's names: both recordings have one text
# In front of a text: first and last sample as in TIMIT, begin and end in seconds as of Audacity.
TIMES = r"^(0 \d{4,}|\d+\.\d+\s\d+\.\d+)\s+"
VOTES = ("up_votes", "down_votes")  # of Common Voice's listeners
LEVELS = 20  # more different decimal numbers are measurements, fewer may be settings
FEWEST = 3  # recordings that show whether a column is a label


@dataclass(frozen=True)
class RecordingMetadata:
    """Columns other than "file", and their values; unknown ones are missing."""

    columns: tuple[str, ...] = ()
    rows: dict[str, dict[str, str]] = field(default_factory=dict)  # by path below the folder
    problems: tuple[str, ...] = ()  # wrong rows, by line
    notes: tuple[str, ...] = ()  # what was left out on purpose

    def value(self, file: str, column: str) -> str | None:
        """The value of a recording in a column; None where it is unknown."""
        return self.rows.get(file, {}).get(column) or None

    def labels(self, file: str) -> tuple[str | None, ...]:
        """All that is not text: recordings that differ in it never share a mel-spectrogram."""
        return tuple(self.value(file, column) for column in self.columns if column != TEXT)

    def without_identifiers(self) -> "RecordingMetadata":
        """The same without columns that are no labels; a note says which, and why.

        Most values of a label belong to several recordings: by a column of paths, ids or lengths
        `join` would keep all recordings apart, and each would be a class of its own.
        """
        notes = {}
        for column in self.columns:
            values = [v for file in self.rows if (v := self.value(file, column))]
            if column == TEXT or len(values) < FEWEST:
                continue
            decimals = len(set(values)) > LEVELS and all(re.fullmatch(DECIMAL, v) for v in values)
            if column in VOTES or decimals:
                notes[column] = "its values are measurements"
            elif not is_shared(values):
                notes[column] = f"most of its {len(values)} values belong to one recording only"
        kept = tuple(column for column in self.columns if column not in notes)
        said = (f"{c}: {why}; no condition, and ignored by join" for c, why in notes.items())
        return replace(self, columns=kept, notes=(*self.notes, *said))


def read_metadata(
    source: str | Path, folder: str | Path, files: Sequence[str]
) -> RecordingMetadata:
    """Read the metadata of recordings; `problems` names each row that was left out, by line.

    Args:
        source: FOLDERS, NAMES, TEXTS, or a table in UTF-8, below `folder` or elsewhere; empty:
            nothing is known. A table may leave out folder and ending of a file where that is not
            ambiguous. With "+folders" behind it, it gets its speakers from the folders.
        folder: of the recordings.
        files: paths of recordings below it, with `/`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not metadata at all, a folder, or folders that differ on several levels.
    """
    if not source:
        return RecordingMetadata()
    if added := re.fullmatch(rf"(.+)\+({FOLDERS}(?::\d+)?)", str(source)):
        known, speakers = (read_metadata(part, folder, files) for part in added.groups())
        if SPEAKER in known.columns:
            raise ValueError(f"{added[1]} has a column speaker; needed: without +{FOLDERS}")
        rows = {f: known.rows.get(f, {}) | speakers.rows.get(f, {}) for f in files}
        return replace(known, columns=(*known.columns, SPEAKER), rows=rows)
    if re.fullmatch(rf"{FOLDERS}(:\d+)?", str(source)):
        return _speakers_by_folder(files, str(source))
    if source == NAMES:
        words = {f: re.sub(r"[\W_]+", " ", nfc(PurePosixPath(f).stem)).strip() for f in files}
        return RecordingMetadata((TEXT,), {file: {TEXT: text} for file, text in words.items()})
    if source == TEXTS:
        return _texts_beside(fetch(folder), files)
    root = fetch(folder)
    try:
        path = root / source if (root / source).is_file() else fetch(source)
    except FileNotFoundError as error:
        path = root.resolve().parent / source  # as Common Voice's, whose clips have a folder
        if not path.is_file():
            where = f"{error}, and beside the recordings in {folder}"
            raise FileNotFoundError(where) from None
    if path.is_dir():
        needed = f"a CSV file, or {FOLDERS!r}, {NAMES!r} or {TEXTS!r}"
        raise ValueError(f"metadata is {path}, a folder; needed: {needed}")
    return _rows_of(path, Recordings(root, files))


def _rows_of(path: Path, recordings: Recordings) -> RecordingMetadata:
    table = read_table(path, recordings)
    rows, problems = {}, list(table.problems)
    for line, fields in table.rows:
        if len(fields) != len(table.names):
            needed = table.delimiter.join(table.names)
            problems.append((line, f"{len(fields)} fields; needed: {needed}"))
            continue
        row = {n: value.strip() for n, value in zip(table.names, fields, strict=True)}
        name = row.pop(FILE)
        found = recordings.called(name)
        if not found:
            problems.append((line, f"file {name!r} is the name of no recording"))
        elif len({PurePosixPath(file).with_suffix("") for file in found}) > 1:
            which = " and ".join(found[:2])
            problems.append((line, f"file {name!r} is ambiguous: {which}; needed: its folder too"))
        elif found[0] in rows:
            problems.append((line, f"file {name!r} once more"))
        else:
            rows |= dict.fromkeys(found, row)  # several: one take in several formats
    if recordings.files and table.rows and not rows:
        raise ValueError(
            f"{path} has {len(table.rows)} rows but none of these recordings, such as "
            f"{recordings.files[0]!r} (line {problems[0][0]}: {problems[0][1]})"
        )
    said = tuple(f"line {line}: {problem}" for line, problem in sorted(problems))
    columns = tuple(name for name in table.names if name != FILE)
    return RecordingMetadata(columns, rows, said, tuple(table.notes))


def _speakers_by_folder(files: Sequence[str], given: str) -> RecordingMetadata:
    """The folders of one level are speakers: "folders:1" of the top one; "folders" of the only one
    on which the recordings differ.

    Raises:
        ValueError: no such level, or several; names the folders of each.
    """
    # A name that is not UTF-8 could neither be written nor drawn.
    names = {f: nfc(f).encode(errors="backslashreplace").decode() for f in files}
    parts = {file: PurePosixPath(name).parts[:-1] for file, name in names.items()}
    levels = [set(folders) for folders in zip_longest(*parts.values())]
    apart = [i for i, found in enumerate(levels, 1) if len(found - {None}) > 1]
    apart = apart or [i for i, found in enumerate(levels, 1) if len(found) > 1]
    level = int(given.partition(":")[2] or (apart[0] if len(apart) == 1 else 0))
    if not levels:
        raise ValueError(
            f"metadata is {given!r}, and no recording lies in a folder; needed: one "
            "for each speaker"
        )
    if not 1 <= level <= len(levels):
        named = [sorted(found - {None}) for found in levels]
        said = [f"{i}: {', '.join(f[:3])} ({len(f)})" for i, f in enumerate(named, 1)]
        needed = [f"{FOLDERS}:{i}" for i in (apart or range(1, len(levels) + 1))]
        raise ValueError(
            f"metadata is {given!r}, and the folders on each level are {'; '.join(said)}; needed: "
            f"the level of the speakers, {' or '.join(needed)}"
        )
    speakers = {f: {SPEAKER: p[level - 1]} for f, p in parts.items() if len(p) >= level}
    return RecordingMetadata((SPEAKER,), speakers)


def _texts_beside(root: Path, files: Sequence[str]) -> RecordingMetadata:
    """The text of each recording out of a file of its own, or a line of its folder's list.

    Raises:
        ValueError: there are none.
    """
    root, texts, listed, problems = root.resolve(), {}, {}, []
    trees = [p for p in (*root.parent.glob("*"), *root.rglob("*")) if _holds_texts(p.name)]
    found = {p for tree in trees if tree != root for p in tree.rglob(ENDING)}
    for folder in {root / PurePosixPath(file).parent for file in files}:
        found |= set(folder.glob(ENDING))
    for path in sorted(found):
        name = nfc(path.relative_to(root.parent).as_posix())
        if name.lower().endswith(TRANS):
            rows = (line.split(maxsplit=1) for line in read_text(path)[0].splitlines())
            inner = name.rpartition("/")[0]
            listed |= {f"{inner}/{row[0]}": row[1] for row in rows if len(row) == 2}
        else:
            texts[re.sub(r"(\.normalized)?\.txt$", "", name, flags=re.I)] = path
    folders = {part for name in texts for part in name.split("/")[:-1] if _holds_texts(part)}
    rows, owners = {}, defaultdict(list)
    for file in files:
        name = str(PurePosixPath(root.name, nfc(file)).with_suffix(""))
        if name in listed:
            rows[file] = {TEXT: listed[name]}
        elif path := next((texts[n] for n in _names_of_text(name, folders) if n in texts), None):
            owners[path].append(file)
    for path, owned in owners.items():
        takes = {re.sub(MICROPHONE, "", str(PurePosixPath(f).with_suffix(""))) for f in owned}
        try:
            if len(takes) > 1:
                raise ValueError(f"{path} is ambiguous: of {' and of '.join(owned[:2])}")
            text = " ".join(re.sub(TIMES, "", read_text(path)[0], flags=re.M).split())
            rows |= {file: {TEXT: text} for file in owned}
        except ValueError as error:
            problems.append(str(error))
    if not rows and files:
        raise ValueError(
            f"metadata is {TEXTS!r}, and {problems[0] if problems else 'no text'} lies beside the "
            f"recordings in {root}; needed: NAME.txt beside NAME.wav or in a folder txt, or lists "
            f"*{TRANS}; or a table"
        )
    return RecordingMetadata((TEXT,), rows, tuple(problems))


def _names_of_text(name: str, folders: set[str]) -> Iterator[str]:
    """Where the text of a recording may lie: beside it, or in a tree of texts like its own.

    As that of wav48/p225/p225_001_mic1 in txt/p225/p225_001.
    """
    parts = name.split("/")
    for stem in dict.fromkeys((parts[-1], re.sub(MICROPHONE, "", parts[-1]))):
        yield "/".join((*parts[:-1], stem))
        for i in range(len(parts)):
            for folder in folders:
                yield "/".join((*parts[:i], folder, *parts[i:-1], stem))  # below one of them
                yield "/".join((*parts[:i], folder, *parts[i + 1 : -1], stem))  # instead of one


def _holds_texts(folder: str) -> bool:
    return bool(re.fullmatch(r"txt|texts?|transcripts?|transcriptions?", folder, re.I))
