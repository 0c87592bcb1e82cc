"""Tables of metadata in the forms in which they are published -> names of columns, and rows.

With a first line of names, between which are `|`, tabs, `;` or `,`, such as Common Voice's
validated.tsv. Or without one: `file|text` and `file|text|normalised text` as LJSpeech has them,
`file|text|speaker`, `file|speaker|text`, the same with tabs; `file: text` as in Asterisk's lists;
`file text` as in LibriSpeech's.
"""

import codecs
import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ddpmlib.audio.recording import ENDINGS

FILE, TEXT, SPEAKER = "file", "text", "speaker"
# What Common Voice, Hugging Face, DeepSpeech and others call them.
OTHER_NAMES = {
    FILE: ("path", "file_name", "filename", "audio", "audio_file", "wav", "wav_filename"),
    TEXT: ("sentence", "transcript", "transcription"),
    SPEAKER: ("client_id", "speaker_id", "speaker_name"),
}
LISTS = ("|", "\t")  # between fields in which quotes are letters, as in `"Where?" she asked.`
DELIMITERS = (*LISTS, ";", ",")
PROMPT, COMMENT, SPACE = ": ", ";", " "  # of Asterisk's lists; of LibriSpeech's
DECIMAL, WHOLE = r"\d+[.,]\d+", r"\d+"
ID = r"\d|[_/.-]\w"  # in names of files, and rarely in words
Row = tuple[int, list[str]]  # the line where it begins, and its fields


@dataclass
class Table:
    """Names of the columns, "file" among them; rows; wrong lines; what else a user should know."""

    names: list[str]
    delimiter: str
    rows: list[Row]
    problems: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Recordings:
    """Recordings below a folder, by the names that tables give them."""

    def __init__(self, root: Path, files: Sequence[str]):
        self.files, self.root = files, root.resolve().parts
        # By all of the path below the folder, or by a part that reaches to its end.
        self.whole: dict[str, list[str]] = defaultdict(list)
        self.part: dict[str, list[str]] = defaultdict(list)
        for file in files:
            path = PurePosixPath(nfc(file))
            for spelling in (path, path.with_suffix("")):
                self.whole[str(spelling)].append(file)
                for i in range(1, len(path.parts)):
                    self.part["/".join(spelling.parts[i:])].append(file)

    def called(self, name: str) -> list[str]:
        """Those that a name may mean."""
        path = PurePosixPath(name.replace("\\", "/"))
        spellings = [str(path)]
        # Of folders above the recordings the name must have those that there are.
        above = (i for i in range(1, len(path.parts)) if path.parts[:i] == self.root[-i:])
        spellings += ["/".join(path.parts[i:]) for i in above]
        if path.suffix.lower() in ENDINGS:  # a copy in another format
            spellings += [spelling.removesuffix(path.suffix) for spelling in spellings]
        found = (index[s] for s in spellings for index in (self.whole, self.part) if s in index)
        return next(found, [])


def read_text(path: Path) -> tuple[str, bool]:
    """What is written in a file in UTF-8, or in UTF-16 by Excel; and whether it was the latter.

    Raises:
        ValueError: another encoding.
    """
    data = path.read_bytes()
    excel = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        content = data.decode("utf-16" if excel else "utf-8-sig")
        if (wrong := content.find("\0")) < 0:
            return nfc(re.sub("\r\n?", "\n", content)), excel
    except UnicodeDecodeError as error:
        wrong = error.start
    raise ValueError(f"{path} is not UTF-8 (byte {wrong}); needed: UTF-8, in Excel 'CSV UTF-8'")


def read_table(path: Path, recordings: Recordings) -> Table:
    """The table in a file; rows may be shorter or longer than the names of its columns.

    Raises:
        ValueError: no table, or one in which text and speaker would be a guess.
    """
    content, excel = read_text(path)
    lines = [line for line in content.split("\n") if line.strip()] or [""]
    if path.suffix.lower() == ".textgrid" or "ooTextFile" in lines[0]:
        raise ValueError(
            f"{path} is a TextGrid, of one recording; needed: a table such as file,text,speaker "
            "(TextGrids beside their recordings, NAME.TextGrid, are read where texts are aligned)"
        )
    delimiter = next((d for d in DELIMITERS if d in lines[0]), "")
    try:
        [first] = csv.reader(lines[:1], delimiter=delimiter) if delimiter else [[]]
    except csv.Error as error:
        raise ValueError(f"{path} has a first line that is no row: {error}") from None
    first, problems = [value.strip() for value in first], []
    if names := _names(path, first, recordings):
        # Whoever quotes the names, and Excel, quotes fields too.
        letters = delimiter in LISTS and not excel and not lines[0].lstrip().startswith('"')
        rows = _rows(content, delimiter, letters, problems)
        unnamed = {i for i, name in enumerate(names) if not name}  # as pandas' numbers of rows
        rows = [(n, [f for i, f in enumerate(row) if i not in unnamed]) for n, row in rows[1:]]
        notes = [f"{len(unnamed)} columns without a name are left out"] if unnamed else []
        return Table(list(filter(None, names)), delimiter, rows, problems, notes)
    if delimiter in LISTS:
        rows = _rows(content, delimiter, True, problems)
        if delimiter == "|" or any(recordings.called(fields[0].strip()) for _, fields in rows):
            return _without_names(path, Table([FILE, TEXT], delimiter, rows, problems))
    if any(re.match(rf"[\w./-]+{PROMPT}", line) for line in lines):
        return Table([FILE, TEXT], PROMPT, _prompts(content, PROMPT))
    ids = [line.split()[0] for line in lines if line.strip()]
    if sum(bool(re.search(ID, name)) for name in ids) > len(ids) / 2 and any(
        map(recordings.called, ids)
    ):
        return Table([FILE, TEXT], SPACE, _prompts(content, SPACE))
    raise ValueError(
        f"{path} begins with {lines[0][:60]!r}; needed: a first line such as "
        "file,text,speaker,language, or lines file|text or file: text"
    )


def is_shared(values: Sequence[str]) -> bool:
    """Whether most of them are values of several recordings, as labels are and texts are not."""
    counts = Counter(values)
    return sum(count for count in counts.values() if count > 1) > len(values) / 2


def _names(path: Path, first: list[str], recordings: Recordings) -> list[str]:
    """Our names of the columns that a first line names; none where it names a recording."""
    names = [name.casefold() for name in first]
    if FILE not in names and any(map(recordings.called, first)):
        return []
    for name, others in OTHER_NAMES.items():
        if name not in names and (other := next((o for o in others if o in names), None)):
            names[names.index(other)] = name
    if FILE not in names:
        return []
    for name in names:
        if name and (not re.fullmatch(r"[a-z]\w{,39}", name) or names.count(name) > 1):
            needed = "different plain names of at most 40 letters"
            raise ValueError(f"{path} has a column {name[:60]!r}; needed: {needed}")
    return names


def _without_names(path: Path, table: Table) -> Table:
    """The same, once its first row has shown which of its fields are what.

    Raises:
        ValueError: they do not show it.
    """
    widths = Counter(len(fields) for _, fields in table.rows)
    three = [[value.strip() for value in fields] for _, fields in table.rows if len(fields) == 3]
    kinds = _second_and_third(three) if three else (TEXT, TEXT)
    if not kinds or widths.most_common(1)[0][0] > 3:
        raise ValueError(
            f"{path} has lines such as {table.delimiter.join(table.rows[0][1])!r:.80}, in which "
            "text and speaker would be a guess; needed: a first line of names, such as "
            f"{table.delimiter.join((FILE, TEXT, SPEAKER))!r}"
        )
    if SPEAKER in kinds:
        table.names = [FILE, *kinds]
        return table
    if kinds == (TEXT, ""):
        table.notes.append(f"the third field, such as {three[0][2]!r}, is a number: left out")
    normalised = kinds == (TEXT, TEXT)
    table.rows = [
        (line, [f[0], f[2] if normalised and f[2].strip() else f[1]] if len(f) == 3 else f)
        for line, f in table.rows
    ]
    return table


def _second_and_third(rows: list[list[str]]) -> tuple[str, str] | None:
    """What the second and third of three fields are, "" for a measurement; None if unclear."""
    _, second, third = zip(*rows, strict=True)
    pairs = [(a, b) for a, b in zip(second, third, strict=True) if b]
    alike = [bool(_words(a) & _words(b)) for a, b in pairs]
    if sum(alike) >= len(pairs) / 2:
        return TEXT, TEXT  # LJSpeech: once more, with numbers in words
    if all(re.fullmatch(DECIMAL, b) for _, b in pairs):
        return TEXT, ""
    if all(re.fullmatch(WHOLE, b) for _, b in pairs):  # a speaker's number, or seconds, or samples
        return None
    labels = is_shared(second), is_shared(third)
    if any(labels):
        return {(True, False): (SPEAKER, TEXT), (False, True): (TEXT, SPEAKER)}.get(labels)
    in_words = [bool(re.search(r"\d", a)) and not re.search(r"\d", b) for a, b in pairs]
    return (TEXT, TEXT) if sum(in_words) > len(pairs) / 2 else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _rows(
    content: str, delimiter: str, letters: bool, problems: list[tuple[int, str]]
) -> list[Row]:
    """Rows that are not empty; what cannot be split is a problem.

    Args:
        letters: quotes are letters. Else they are in lines that would be none.
    """
    lines, rows = content.split("\n"), []
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    if letters:
        rows = [(i, list(map(_unquoted, s.split(delimiter)))) for i, s in enumerate(lines, 1)]
    while not letters and (before := reader.line_num) < len(lines):
        try:
            rows.append((before + 1, next(reader)))
        except csv.Error as error:
            if reader.line_num > before + 1:
                problems.append((before + 1, f"{error}; not read up to line {reader.line_num}"))
            else:
                rows.append((before + 1, lines[before].split(delimiter)))
    return [(line, fields) for line, fields in rows if any(map(str.strip, fields))]


def _unquoted(value: str) -> str:
    """Without quotes around it where those inside are doubled, as a few programs write lists."""
    inside = value[1:-1]
    quoted = value == f'"{inside}"' and '""' in inside and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if quoted else value


def _prompts(content: str, delimiter: str) -> list[Row]:
    """Rows of a file and its text."""
    lines = enumerate(map(str.strip, content.split("\n")), 1)
    return [
        (number, line.split(delimiter, 1))
        for number, line in lines
        if line and not line.startswith(COMMENT)
    ]


def nfc(text: str) -> str:
    """Unicode form NFC: macOS writes file names decomposed, which read the same but differ."""
    return unicodedata.normalize("NFC", text)
