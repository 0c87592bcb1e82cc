"""What a network can be conditioned on: a class, an embedding, a text, or a phone for each frame.

A condition is a tensor with a row for each mel-spectrogram. A row may be the null condition, with
which the model is unconditional (Ho & Salimans 2022, "Classifier-Free Diffusion Guidance").
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ddpmlib.audio.metadata import nfc
from ddpmlib.text.frames import FEATURES

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


@dataclass(frozen=True)
class PhoneCondition:
    """A phone for each frame, aligned with the mel-spectrogram: see `text.frames`.

    A row is (n_frames, 3), or wider or narrower for a mel-spectrogram that is. Unknown frames are
    NaN, and all of them in the null condition.
    """

    names: tuple[str, ...]  # of the phones; the first one has index 1
    n_mels: int  # of the mel-spectrograms, and their n_frames in training
    n_frames: int
    kind: str = field(default="phones", init=False)
    dtype, null = np.float32, np.nan

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"phones are {self.names}; needed: at least 1, all different")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return self.n_frames, FEATURES

    def encode(self, value: np.ndarray) -> np.ndarray:
        """The row itself; `DDPM.say` makes one of a text.

        Raises:
            ValueError: not an array (frames, 3).
        """
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[1] != FEATURES:
            what = f"an array of shape {value.shape}" if hasattr(value, "shape") else repr(value)
            raise ValueError(
                f"condition is {what:.60}; needed: (n_frames, {FEATURES}), see DDPM.say"
            )
        return value.astype(np.float32)

    def decode(self, row: np.ndarray) -> str:
        """The phones in their order; empty for the null condition."""
        indices = np.nan_to_num(row[:, 0]).astype(int)
        changes = np.flatnonzero(np.diff(indices, prepend=0))
        return " ".join(self.names[indices[i] - 1] for i in changes if indices[i])


ConditionSpec = ClassCondition | EmbeddingCondition | TextCondition | PhoneCondition
CONDITION_SPECS = {"labels": ClassCondition, "vectors": EmbeddingCondition}
CONDITION_SPECS |= {"tokens": TextCondition, "phones": PhoneCondition}


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
