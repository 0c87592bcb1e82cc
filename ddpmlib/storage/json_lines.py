"""Files of one JSON object a line, to which a batch adds what is finished."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ddpmlib.storage.atomic import atomic_write, naming_the_path

# Names that are not UTF-8 are lone surrogates in Python; written as \udcff they are good JSON.
UTF8 = {"encoding": "utf-8", "errors": "backslashreplace"}


def read_lines(path: Path) -> list[dict]:
    """The objects of a file, none if it does not exist; a line cut short by a crash is left out."""
    # A cut may go through a character; splitlines would also cut at odd characters in names.
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = []
    for line in text.split("\n"):
        with contextlib.suppress(ValueError, TypeError):
            found.append(dict(json.loads(line)))
    return found


def write_lines(path: Path, values: Iterable[dict]) -> None:
    """Replace a file; it appears whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text("".join(map(_line, values)), **UTF8)


@contextlib.contextmanager
def appender(path: Path) -> Iterator[Callable[[dict], None]]:
    """Open a file to add objects, each on disk as soon as it is added."""
    with naming_the_path(path), path.open("a", **UTF8) as stream:

        def append(values: dict) -> None:
            with naming_the_path(path):
                stream.write(_line(values))
                stream.flush()

        stream.write("\n")  # ends a line that a crash may have cut short
        yield append


def _line(values: dict) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
