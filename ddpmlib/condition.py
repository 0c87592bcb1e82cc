"""What a network can be told besides a noisy picture: a label, a vector or a text.

A condition is a tensor with a row for each picture. A row may say nothing: then the network does
what it would without (Ho & Salimans 2022, "Classifier-Free Diffusion Guidance").
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

MENTIONED = 20  # names, in a sentence


@dataclass(frozen=True)
class Labels:
    """One of n classes, such as speakers; a row is its number, or -1."""

    n: int
    names: tuple[str, ...] = ()  # of the classes; by default their numbers
    kind: str = field(default="labels", init=False)
    dtype, nothing = np.int64, -1

    def __post_init__(self):
        names = tuple(self.names) or tuple(map(str, range(self.n)))
        object.__setattr__(self, "names", names)
        if self.n < 1 or len(set(names)) != self.n:
            raise ValueError(f"names are {names}; needed: {max(self.n, 1)} different ones")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return ()

    @property
    def most(self) -> int:
        """The largest number there is."""
        return self.n - 1

    def row(self, value: str | int) -> np.ndarray:
        """The row of a class, by its name; that of a speaker may be a number.

        Raises:
            ValueError: there is no such class.
        """
        name = composed(str(value))
        if name not in self.names:
            raise ValueError(f"condition is {value!r:.60}; needed: {self}")
        return np.array(self.names.index(name))

    def __str__(self) -> str:
        more = f", ... ({self.n})" if self.n > MENTIONED else ""
        return ", ".join(self.names[:MENTIONED]) + more

    def words(self, row: np.ndarray) -> str:
        """What a row says, for people; empty for nothing."""
        return self.names[row] if row >= 0 else ""


@dataclass(frozen=True)
class Vectors:
    """A vector for each picture, or a sequence of vectors, such as the embeddings of words.

    A row is (dim,) or (length, dim), best with a length of about 1; vectors that are missing are
    NaN.
    """

    dim: int
    length: int = 0  # of a sequence, at most; 0: one vector
    kind: str = field(default="vectors", init=False)
    dtype, nothing = np.float32, np.nan

    def __post_init__(self):
        if self.dim < 1 or self.length < 0:
            raise ValueError(f"vectors of {self.dim} numbers; needed: at least 1, length 0 or more")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.length, self.dim) if self.length else (self.dim,)

    def row(self, value: np.ndarray) -> np.ndarray:
        """The row of a vector, or of a sequence of them; a short one is filled up.

        Raises:
            ValueError: no finite numbers, another shape, or a sequence that is too long.
        """
        try:
            value = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"condition is {value!r}; needed: {self.dim} numbers") from None
        fits = value.ndim == len(self.shape) and value.shape[-1] == self.dim
        if not fits or (self.length and len(value) > self.length):
            most = f" (at most {self.length})" if self.length else ""
            raise ValueError(f"condition of shape {value.shape}; needed: {self.shape}{most}")
        if not value.size or not np.isfinite(value).all():
            raise ValueError(f"condition has {value.size} numbers; needed: at least 1, all finite")
        missing = [(0, n - have) for n, have in zip(self.shape, value.shape, strict=True)]
        return np.pad(value, missing, constant_values=np.nan)

    def words(self, row: np.ndarray) -> str:
        """What a row says, for people: numbers say nothing to them."""
        return ""


@dataclass(frozen=True)
class Tokens:
    """A text as a sequence of characters; a row has a number for each, 0 where none is left."""

    length: int  # characters, at most
    alphabet: str  # its characters are 1, 2, 3 ...
    kind: str = field(default="tokens", init=False)
    dtype, nothing = np.int64, 0

    def __post_init__(self):
        if self.length < 1 or not self.alphabet or len(set(self.alphabet)) < len(self.alphabet):
            raise ValueError(
                f"texts of {self.length} characters out of {self.alphabet!r}; needed: at least 1 "
                "out of different ones"
            )

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Tokens":
        """What is needed to write these."""
        texts = [plain(text) for text in texts]
        return cls(max(map(len, texts)), "".join(sorted(set("".join(texts)))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.length,)

    @property
    def most(self) -> int:
        """The largest number there is."""
        return len(self.alphabet)

    def row(self, value: str) -> np.ndarray:
        """The row of a text.

        Raises:
            ValueError: no text, too long, or with a character that no text of the training had.
        """
        if not isinstance(value, str):
            raise ValueError(f"condition is {value!r}; needed: a text")
        text = plain(value)
        if not 1 <= len(text) <= self.length:
            raise ValueError(f"text of {len(text)} characters; needed: 1 to {self.length}")
        if strange := sorted(set(text) - set(self.alphabet)):
            raise ValueError(f"text has {strange[0]!r}; needed: characters of {self.alphabet!r}")
        numbers = [1 + self.alphabet.index(character) for character in text]
        return np.array(numbers + [0] * (self.length - len(text)))

    def words(self, row: np.ndarray) -> str:
        """What a row says, for people; empty for nothing."""
        return "".join(self.alphabet[number - 1] for number in row if number)


Kind = Labels | Vectors | Tokens
KINDS = {"labels": Labels, "vectors": Vectors, "tokens": Tokens}


def kind_of(values: dict) -> Kind:
    """Read what `dataclasses.asdict` made of a kind, perhaps by way of JSON.

    Raises:
        ValueError: no kind of condition.
    """
    values = dict(values) if isinstance(values, dict) else {"kind": values}
    name = values.pop("kind", None)
    if name not in KINDS:
        raise ValueError(f"kind of condition is {name!r}; needed: {', '.join(KINDS)}")
    try:
        return KINDS[name](**values)
    except TypeError as error:
        raise ValueError(f"{values} are no {name}: {error}") from None


def plain(text: str) -> str:
    """Lower case, in composed characters, words apart by one space."""
    folded = composed(text).casefold()  # which may take characters apart again
    return " ".join(composed(folded).split())


def composed(text: str) -> str:
    """With an accent in one character with its letter: the other way, as macOS writes the names of
    files, would look the same and be another text."""
    return unicodedata.normalize("NFC", text)


def rows(kind: Kind, values, count: int) -> torch.Tensor:
    """A tensor (count, ...) of conditions.

    Args:
        values: one for all pictures, or a list with one each: names of labels, texts, or
            arrays; None says nothing. Or a tensor of rows.

    Raises:
        ValueError: not one for each picture; or see `row` of the kind, and `check_rows`.
    """
    if isinstance(values, torch.Tensor):
        if values.shape != (needed := (count, *kind.shape)):
            raise ValueError(f"conditions of shape {tuple(values.shape)}; needed: {needed}")
        check_rows(kind, values.numpy(force=True))
        return values
    values = values if isinstance(values, list) else [values] * count
    if len(values) != count:
        raise ValueError(f"{len(values)} conditions; needed: one, or {count}, one for each picture")
    nothing = np.full(kind.shape, kind.nothing, kind.dtype)
    made = [nothing if value is None else kind.row(value) for value in values]
    return torch.from_numpy(np.stack(made).astype(kind.dtype))


def check_rows(kind: Kind, found: np.ndarray) -> None:
    """Raise ValueError for rows of another type, or with numbers that stand for nothing."""
    if found.dtype != kind.dtype:
        raise ValueError(f"conditions of type {found.dtype}; needed: {np.dtype(kind.dtype)}")
    if isinstance(kind, Vectors) or not found.size:
        return
    if not kind.nothing <= found.min() <= found.max() <= kind.most:
        needed = f"{kind.nothing} to {kind.most}"
        raise ValueError(f"conditions from {found.min()} to {found.max()}; needed: {needed}")


def silenced(kind: Kind, condition: torch.Tensor, which: torch.Tensor | bool) -> torch.Tensor:
    """Conditions of which some, or all, say nothing any more; `which` is (count,) or True."""
    which = torch.as_tensor(which, device=condition.device)
    which = which.view(-1, *[1] * len(kind.shape))
    return condition.masked_fill(which, kind.nothing)
