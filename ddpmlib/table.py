"""What is known about recordings besides their sound: a table of texts, speakers, languages.

In the manner of LJSpeech, `file|text` without a first line of names; or with one, such as
`file,text,speaker,language`: "text" is what is spoken, each other column a label; or in that of
Asterisk, `file: text`. Without a table, FOLDERS and NAMES read the paths of the recordings.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ddpmlib.condition import composed
from ddpmlib.storage import fetch

FILE, TEXT, SPEAKER = "file", "text", "speaker"
FOLDERS = "folders"  # one folder for each speaker
NAMES = "names"  # the text is the name of the file, as in all-circuits-busy-now.wav
DELIMITERS = "|,;\t"
PROMPT, COMMENT = ": ", ";"  # of Asterisk's lists


@dataclass(frozen=True)
class Table:
    """Columns other than "file", and what they say of recordings; what is not known is missing."""

    columns: tuple[str, ...] = ()
    rows: dict[str, dict[str, str]] | None = None  # by path below the folder of recordings
    problems: tuple[str, ...] = ()  # wrong rows, by line

    def said(self, file: str, column: str) -> str | None:
        """What a column says of a recording; None for nothing."""
        return (self.rows or {}).get(file, {}).get(column) or None

    def labels(self, file: str) -> tuple[str | None, ...]:
        """All that is not text: recordings that differ in it never share a picture."""
        return tuple(self.said(file, column) for column in self.columns if column != TEXT)


def read_table(source: str | Path, folder: str | Path, files: Sequence[str]) -> Table:
    """Read what is known about recordings.

    Args:
        source: FOLDERS, NAMES, or a CSV file in UTF-8, below `folder` or elsewhere; empty: nothing
            is known. It may leave out folder and ending of a file where that is not ambiguous.
        folder: of the recordings.
        files: paths of recordings below it, with `/`.

    Returns:
        Table, whose `problems` name each row that was left out, by line.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a table at all, or a folder.
    """
    if not source:
        return Table()
    if source == FOLDERS:
        # A name that is not UTF-8 could neither be written nor drawn.
        names = {f: composed(f).encode(errors="backslashreplace").decode() for f in files}
        parts = {file: PurePosixPath(name).parts[:-1] for file, name in names.items()}
        return Table((SPEAKER,), {f: {SPEAKER: p[0]} for f, p in parts.items() if p})
    if source == NAMES:
        return Table((TEXT,), {file: {TEXT: _as_text(file)} for file in files})
    beside = fetch(folder) / source
    try:
        path = beside if beside.is_file() else fetch(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}, and beside the recordings in {folder}") from None
    if path.is_dir():
        raise ValueError(f"table is {path}, a folder; needed: a CSV file, or {FOLDERS!r}")
    try:
        content = composed(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); needed: UTF-8") from None
    return _read(path, content, _by_any_name(files))


def _read(path: Path, content: str, known: dict[str, str | None]) -> Table:
    names, delimiter, quoting = _manner(path, content)
    rows, problems = {}, []
    lines = _lines(content, delimiter, quoting)
    if quoting != csv.QUOTE_NONE:
        next(lines)  # the names
    for line, fields in lines:
        if isinstance(fields, csv.Error):
            problems.append(f"line {line}: {fields}; what follows was not read")
            continue
        if quoting == csv.QUOTE_NONE and len(fields) == 3:
            fields = [fields[0], fields[2] or fields[1]]
        if len(fields) != len(names):
            problems.append(f"line {line}: {len(fields)} fields; needed: {delimiter.join(names)}")
            continue
        row = {name: field.strip() for name, field in zip(names, fields, strict=True)}
        name = row.pop(FILE)
        file = known.get(name)
        if not file:
            whose = "several recordings" if name in known else "no recording"
            problems.append(f"line {line}: file {name!r} is the name of {whose}")
        elif file in rows:
            problems.append(f"line {line}: file {name!r} once more")
        else:
            rows[file] = row
    return Table(tuple(name for name in names if name != FILE), rows, tuple(problems))


def _manner(path: Path, content: str) -> tuple[list[str], str, int]:
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
                raise ValueError(
                    f"{path} has a column {name[:60]!r}; needed: different plain names of at most "
                    "40 letters"
                )
        return names, delimiter, csv.QUOTE_MINIMAL
    if delimiter == "|":  # LJSpeech quotes nothing; a third field has numbers in words
        return [FILE, TEXT], delimiter, csv.QUOTE_NONE
    if re.search(rf"^[\w./-]+{PROMPT}", content, re.MULTILINE):
        return [FILE, TEXT], PROMPT, csv.QUOTE_NONE
    raise ValueError(
        f"{path} begins with {first[:60]!r}; needed: a first line such as "
        "file,text,speaker,language, or lines file|text or file: text"
    )


def _lines(content: str, delimiter: str, quoting: int) -> Iterator[tuple[int, list | csv.Error]]:
    """Number of the line where a row begins, and its fields, or what is wrong there."""
    if delimiter == PROMPT:
        for line, row in enumerate(content.split("\n"), 1):
            if row.strip() and not row.startswith(COMMENT):
                yield line, row.strip().split(PROMPT, 1)
        return
    stream = io.StringIO(content, newline="")
    reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
            return
        if any(map(str.strip, fields)):
            yield line, fields


def _as_text(file: str) -> str:
    return re.sub(r"[\W_]+", " ", composed(PurePosixPath(file).stem)).strip()


def _by_any_name(files: Sequence[str]) -> dict[str, str | None]:
    """Recordings by stem, name, path without ending, and path; None where several are meant."""
    known: dict[str, str | None] = {}
    paths = [PurePosixPath(composed(file)) for file in files]
    for name_of in ("stem", "name"):
        known |= _named([getattr(path, name_of) for path in paths], files)
    known |= _named([path.with_suffix("").as_posix() for path in paths], files)
    return known | _named([path.as_posix() for path in paths], files)


def _named(names: Sequence[str], files: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, file in zip(names, files, strict=True):
        found[name] = None if name in found else file
    return found
