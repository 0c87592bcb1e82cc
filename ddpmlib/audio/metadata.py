"""Metadata of recordings: a CSV file of texts, speakers, languages.

In the manner of LJSpeech, `file|text` without a first line of names; or with one, such as
`file,text,speaker,language`, where "text" is what is spoken and each other column a label; or in
that of Asterisk, `file: text`. Without a file, FOLDERS and NAMES read the paths of the recordings.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ddpmlib.storage.paths import fetch

FILE, TEXT, SPEAKER = "file", "text", "speaker"
FOLDERS = "folders"  # one folder for each speaker
NAMES = "names"  # the text is the name of the file, as in all-circuits-busy-now.wav
DELIMITERS = "|,;\t"
PROMPT, COMMENT = ": ", ";"  # of Asterisk's lists


@dataclass(frozen=True)
class RecordingMetadata:
    """Columns other than "file", and their values; unknown ones are missing."""

    columns: tuple[str, ...] = ()
    rows: dict[str, dict[str, str]] = field(default_factory=dict)  # by path below the folder
    problems: tuple[str, ...] = ()  # wrong rows, by line

    def value(self, file: str, column: str) -> str | None:
        """The value of a recording in a column; None where it is unknown."""
        return self.rows.get(file, {}).get(column) or None

    def labels(self, file: str) -> tuple[str | None, ...]:
        """All that is not text: recordings that differ in it never share a mel-spectrogram."""
        return tuple(self.value(file, column) for column in self.columns if column != TEXT)


def read_metadata(
    source: str | Path, folder: str | Path, files: Sequence[str]
) -> RecordingMetadata:
    """Read the metadata of recordings; `problems` names each row that was left out, by line.

    Args:
        source: FOLDERS, NAMES, or a CSV file in UTF-8, below `folder` or elsewhere; empty: nothing
            is known. It may leave out folder and ending of a file where that is not ambiguous.
        folder: of the recordings.
        files: paths of recordings below it, with `/`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not metadata at all, or a folder.
    """
    if not source:
        return RecordingMetadata()
    if source == FOLDERS:
        # A name that is not UTF-8 could neither be written nor drawn.
        names = {f: nfc(f).encode(errors="backslashreplace").decode() for f in files}
        parts = {file: PurePosixPath(name).parts[:-1] for file, name in names.items()}
        return RecordingMetadata((SPEAKER,), {f: {SPEAKER: p[0]} for f, p in parts.items() if p})
    if source == NAMES:
        words = {f: re.sub(r"[\W_]+", " ", nfc(PurePosixPath(f).stem)).strip() for f in files}
        return RecordingMetadata((TEXT,), {file: {TEXT: text} for file, text in words.items()})
    beside = fetch(folder) / source
    try:
        path = beside if beside.is_file() else fetch(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}, and beside the recordings in {folder}") from None
    if path.is_dir():
        raise ValueError(f"metadata is {path}, a folder; needed: a CSV file, or {FOLDERS!r}")
    try:
        content = nfc(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); needed: UTF-8") from None
    return _read(path, content, by_any_name(files))


def _read(path: Path, content: str, known: dict[str, str | None]) -> RecordingMetadata:
    names, delimiter, quoting = _dialect(path, content)
    rows, problems = {}, []
    lines = _lines(content, delimiter, quoting, problems)
    if quoting != csv.QUOTE_NONE:
        next(lines, None)  # the names
    for line, fields in lines:
        if quoting == csv.QUOTE_NONE and len(fields) == 3:
            fields = [fields[0], fields[2] or fields[1]]
        if len(fields) != len(names):
            problems.append(f"line {line}: {len(fields)} fields; needed: {delimiter.join(names)}")
            continue
        row = {name: text.strip() for name, text in zip(names, fields, strict=True)}
        name = row.pop(FILE)
        file = known.get(name)
        if not file:
            whose = "several recordings" if name in known else "no recording"
            problems.append(f"line {line}: file {name!r} is the name of {whose}")
        elif file in rows:
            problems.append(f"line {line}: file {name!r} once more")
        else:
            rows[file] = row
    return RecordingMetadata(tuple(name for name in names if name != FILE), rows, tuple(problems))


def _dialect(path: Path, content: str) -> tuple[list[str], str, int]:
    """Names of the columns, what stands between them, and what quotes mean."""
    first = next((line for line in content.split("\n") if line.strip()), "").rstrip("\r")
    delimiter = next((d for d in DELIMITERS if d in first), "")
    try:
        [names] = csv.reader([first], delimiter=delimiter) if delimiter else [[]]
    except csv.Error as error:
        raise ValueError(f"{path} has a first line that is no row: {error}") from None
    names = [name.strip().casefold() for name in names]
    if FILE in names:
        for name in names:
            if not re.fullmatch(r"[a-z]\w{,39}", name) or names.count(name) > 1:
                needed = "different plain names of at most 40 letters"
                raise ValueError(f"{path} has a column {name[:60]!r}; needed: {needed}")
        return names, delimiter, csv.QUOTE_MINIMAL
    if delimiter == "|":  # LJSpeech quotes nothing; a third field has numbers in words
        return [FILE, TEXT], delimiter, csv.QUOTE_NONE
    if re.search(rf"^[\w./-]+{PROMPT}", content, re.MULTILINE):
        return [FILE, TEXT], PROMPT, csv.QUOTE_NONE
    raise ValueError(
        f"{path} begins with {first[:60]!r}; needed: a first line such as "
        "file,text,speaker,language, or lines file|text or file: text"
    )


def _lines(
    content: str, delimiter: str, quoting: int, problems: list[str]
) -> Iterator[tuple[int, list[str]]]:
    """Number of the line where a row begins, and its fields; what cannot be split is a problem."""
    if delimiter == PROMPT:
        for line, row in enumerate(content.split("\n"), 1):
            if row.strip() and not row.startswith(COMMENT):
                yield line, row.strip().split(PROMPT, 1)
        return
    stream, line = io.StringIO(content, newline=""), 1
    reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for fields in reader:
            if any(map(str.strip, fields)):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line}: {error}; what follows was not read")


def by_any_name(files: Sequence[str]) -> dict[str, str | None]:
    """Recordings by stem, name, path without ending, and path; None where several are meant."""
    known: dict[str, str | None] = {}
    paths = [PurePosixPath(nfc(file)) for file in files]
    spellings = [p.stem for p in paths], [p.name for p in paths]
    spellings += [str(p.with_suffix("")) for p in paths], [str(p) for p in paths]
    for names in spellings:
        found: dict[str, str | None] = {}
        for name, file in zip(names, files, strict=True):
            found[name] = None if name in found else file
        known |= found
    return known


def nfc(text: str) -> str:
    """Unicode form NFC: macOS writes file names decomposed, which read the same but differ."""
    return unicodedata.normalize("NFC", text)
