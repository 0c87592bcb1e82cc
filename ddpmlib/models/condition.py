"""What a network can be conditioned on: a class, an embedding or a text.

A condition is a tensor with a row for each mel-spectrogram. A row may be the null condition, with
which the model is unconditional (Ho & Salimans 2022, "Classifier-Free Diffusion Guidance").
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ddpmlib.audio.metadata import nfc

MENTIONED = 20  # class names in a message


@dataclass(frozen=True)
class ClassCondition:
    """One of n classes, such as speakers; a row is the index of a class, or -1."""

    n: int
    names: tuple[str, ...] = ()  # of the classes; by default their indices
    kind: str = field(default="labels", init=False)  # in the files' format
    dtype, null, shape = np.int64, -1, ()  # of a row

    def __post_init__(self):
        names = tuple(self.names) or tuple(map(str, range(self.n)))
        object.__setattr__(self, "names", names)
        if self.n < 1 or len(set(names)) != self.n:
            raise ValueError(f"names are {names}; needed: {max(self.n, 1)} different ones")

    def encode(self, value: str | int) -> np.ndarray:
        """The row of a class, by its name; that of a speaker may be a number.

        Raises:
            ValueError: there is no such class.
        """
        name = nfc(str(value))
        if name not in self.names:
            raise ValueError(f"condition is {value!r:.60}; needed: {self}")
        return np.array(self.names.index(name))

    def decode(self, row: np.ndarray) -> str:
        """The name of the class; empty for the null condition."""
        return self.names[row] if row >= 0 else ""

    def __str__(self) -> str:
        more = f", ... ({self.n})" if self.n > MENTIONED else ""
        return ", ".join(self.names[:MENTIONED]) + more


@dataclass(frozen=True)
class EmbeddingCondition:
    """A vector, or a sequence of vectors such as the embeddings of words, best of length about 1.

    A row is (dim,) or (length, dim); missing vectors are NaN.
    """

    dim: int
    length: int = 0  # of a sequence, at most; 0: one vector
    kind: str = field(default="vectors", init=False)
    dtype, null = np.float32, np.nan

    def __post_init__(self):
        if self.dim < 1 or self.length < 0:
            raise ValueError(f"vectors of {self.dim} numbers; needed: at least 1, length 0 or more")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.length, self.dim) if self.length else (self.dim,)

    def encode(self, value: np.ndarray) -> np.ndarray:
        """The row of a vector, or of a sequence of them; a short one is padded.

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

    def decode(self, row: np.ndarray) -> str:
        """Empty: a vector has no name."""
        return ""


@dataclass(frozen=True)
class TextCondition:
    """A text as a sequence of characters; a row holds their indices from 1 on, then zeros."""

    length: int  # characters, at most
    alphabet: str  # the characters 1, 2, 3 ...
    kind: str = field(default="tokens", init=False)
    dtype, null = np.int64, 0

    def __post_init__(self):
        if self.length < 1 or not self.alphabet or len(set(self.alphabet)) < len(self.alphabet):
            raise ValueError(
                f"texts of {self.length} characters out of {self.alphabet!r}; needed: at least 1 "
                "out of different ones"
            )

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextCondition":
        """The smallest one that encodes these."""
        texts = [normalise_text(text) for text in texts]
        return cls(max(map(len, texts)), "".join(sorted(set("".join(texts)))))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.length,)

    def encode(self, value: str) -> np.ndarray:
        """The row of a text.

        Raises:
            ValueError: no text, too long, or with a character that no training text had.
        """
        if not isinstance(value, str):
            raise ValueError(f"condition is {value!r}; needed: a text")
        text = normalise_text(value)
        if not 1 <= len(text) <= self.length:
            raise ValueError(f"text of {len(text)} characters; needed: 1 to {self.length}")
        if unknown := sorted(set(text) - set(self.alphabet)):
            raise ValueError(f"text has {unknown[0]!r}; needed: characters of {self.alphabet!r}")
        indices = [1 + self.alphabet.index(character) for character in text]
        return np.array(indices + [0] * (self.length - len(text)))

    def decode(self, row: np.ndarray) -> str:
        """The text; empty for the null condition."""
        return "".join(self.alphabet[index - 1] for index in row if index)


ConditionSpec = ClassCondition | EmbeddingCondition | TextCondition
CONDITION_SPECS = {"labels": ClassCondition, "vectors": EmbeddingCondition, "tokens": TextCondition}


def condition_spec(values: dict) -> ConditionSpec:
    """Read what `dataclasses.asdict` made of a ConditionSpec, perhaps by way of JSON.

    Raises:
        ValueError: unknown kind or fields.
    """
    values = dict(values) if isinstance(values, dict) else {"kind": values}
    name = values.pop("kind", None)
    if name not in CONDITION_SPECS:
        raise ValueError(f"kind of condition is {name!r}; needed: {', '.join(CONDITION_SPECS)}")
    try:
        return CONDITION_SPECS[name](**values)
    except TypeError as error:
        raise ValueError(f"{values} do not describe {name}: {error}") from None


def normalise_text(text: str) -> str:
    """Lower case, in NFC, words apart by one space."""
    folded = nfc(text).casefold()  # which may decompose characters again
    return " ".join(nfc(folded).split())


def encode_conditions(spec: ConditionSpec, values, count: int) -> torch.Tensor:
    """A tensor (count, *spec.shape) of conditions.

    Args:
        values: one for all, or a list with one each: class names, texts or arrays; None is the
            null condition. Or a tensor of rows.

    Raises:
        ValueError: another number of them; or see `encode` of the spec, and `check_conditions`.
    """
    if isinstance(values, torch.Tensor):
        if values.shape != (needed := (count, *spec.shape)):
            raise ValueError(f"conditions of shape {tuple(values.shape)}; needed: {needed}")
        check_conditions(spec, values.numpy(force=True))
        return values
    values = values if isinstance(values, list) else [values] * count
    if len(values) != count:
        raise ValueError(f"{len(values)} conditions; needed: one for all, or {count}")
    null = np.full(spec.shape, spec.null, spec.dtype)
    rows = [null if value is None else spec.encode(value) for value in values]
    return torch.from_numpy(np.stack(rows).astype(spec.dtype))


def check_conditions(spec: ConditionSpec, rows: np.ndarray) -> None:
    """Raise ValueError for rows of another type, or with an index out of range."""
    if rows.dtype != spec.dtype:
        raise ValueError(f"conditions of type {rows.dtype}; needed: {np.dtype(spec.dtype)}")
    if isinstance(spec, EmbeddingCondition) or not rows.size:
        return
    largest = spec.n - 1 if isinstance(spec, ClassCondition) else len(spec.alphabet)
    if not spec.null <= rows.min() <= rows.max() <= largest:
        found, needed = f"{rows.min()} to {rows.max()}", f"{spec.null} to {largest}"
        raise ValueError(f"conditions from {found}; needed: {needed}")


def drop_conditions(
    spec: ConditionSpec, condition: torch.Tensor, which: torch.Tensor | bool
) -> torch.Tensor:
    """Conditions of which some, or all, become the null condition; `which` is (count,) or True."""
    which = torch.as_tensor(which, device=condition.device)
    return condition.masked_fill(which.view(-1, *[1] * len(spec.shape)), spec.null)
