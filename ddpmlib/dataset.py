"""Data sets that read one `.npy` of pictures, with its parameters and conditions beside it."""

import bisect
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib.annotation import open_condition
from ddpmlib.buckets import is_bucket
from ddpmlib.manifest import SPLITS
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.storage import bucket_path, fetch, fetch_beside


class SpectrogramSet(torch.utils.data.Dataset):
    """Pictures (1, n_mels, n_frames) float32 in [-1, 1], read from a memory-mapped `.npy`.

    Args:
        path: `NAME.npy` with `NAME.json` beside it; or, with `params` given, an array
            (N, 1, n_mels, n_frames) of values in 0...1 without one, as the original project wrote.
        split: "train", "validation" or None for every picture.
        params: the grid of an array that has no description.
        condition: a column of what is known of the recordings, such as "speaker"; empty: none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off, not pictures, not what its description says, or without the condition.
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = "train",
        params: SpectrogramParams | None = None,
        condition: str = "",
    ):
        if split not in (*SPLITS, None):
            raise ValueError(f"split is {split!r}; needed: train, validation or None")
        self.path = fetch(path)
        self.pictures = open_pictures(self.path)
        sidecar = fetch_beside(path, ".json")
        self.has_description = sidecar is not None
        if sidecar:
            self._read_description(sidecar, params)
        else:
            self._assume_original_format(params)
        if (expected := self.params.image_size) != self.pictures.shape[2:]:
            raise ValueError(
                f"{self.path} holds pictures of {self.pictures.shape[2:]}; "
                f"its parameters say {expected}"
            )
        spans = [f for f in self.files if split in (f["split"], None)]
        rows = [np.arange(f["first"], f["first"] + f["pictures"]) for f in spans]
        self.rows = np.concatenate([np.arange(0), *rows])
        self.firsts = [span["first"] for span in self.files]
        self.condition, self.kind, self.said_path, self.said = condition, None, None, None
        if condition:
            described = self.described, condition, len(self.pictures)
            self.kind, self.said_path = open_condition(path, *described)
            self.said = np.load(self.said_path, mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = torch.from_numpy(self.pictures[self.rows[index]].astype(np.float32))
        return picture if self.has_description else picture * 2 - 1

    def __getstate__(self) -> dict:
        # A pickled memory map would hold all pictures.
        return self.__dict__ | {"pictures": None, "said": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        self.pictures = open_pictures(self.path)
        if self.kind:
            self.said = np.load(self.said_path, mmap_mode="r", allow_pickle=False)

    def conditions(self, indices: Sequence[int]) -> torch.Tensor | None:
        """What is said of some pictures, a row each; see `ddpmlib.condition`."""
        if self.kind is None:
            return None
        return torch.from_numpy(self.said[self.rows[np.asarray(indices, int)]])

    def source(self, index: int) -> str:
        """File name of the recording that a picture was cut from."""
        return self.files[bisect.bisect(self.firsts, self.rows[index]) - 1]["file"]

    @property
    def fingerprint(self) -> str:
        """Number of pictures, and a hash of the recordings, their order, the split, and what is
        said of them."""
        hashed = hashlib.sha256(json.dumps(self.files, sort_keys=True).encode())
        if self.kind:
            hashed.update(np.ascontiguousarray(self.said))
        return f"{len(self.pictures)} pictures ({hashed.hexdigest()[:8]})"

    def _read_description(self, sidecar: Path, params: SpectrogramParams | None) -> None:
        try:
            description = json.loads(sidecar.read_text("utf-8"))
            self.params = SpectrogramParams.from_dict(description["params"])
            self.files, shape = description["files"], tuple(description["shape"])
            self.described = dict(description.get("conditions", {}))
            rows = sum(span["pictures"] for span in self.files if span["split"] in SPLITS)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{sidecar} is no description of pictures: {error}") from error
        if params is not None:
            self.params.check_same(params, self.path.name, "the parameters given")
        if shape != self.pictures.shape or rows != len(self.pictures):
            raise ValueError(
                f"{self.path} has shape {self.pictures.shape}; its description says "
                f"{shape} with {rows} rows in files: build it again"
            )

    def _assume_original_format(self, params: SpectrogramParams | None) -> None:
        if params is None:
            raise ValueError(
                f"{self.path} has no {self.path.stem}.json beside it; give params=SpectrogramParams"
                "(...) if it holds values in 0...1 made with them"
            )
        some = self.pictures[:: max(1, len(self.pictures) // 64)]  # all would take minutes
        if some.size == 0 or not (some.min() >= 0 and some.max() <= 1):
            span = f"values from {some.min():g} to {some.max():g}" if some.size else "no values"
            raise ValueError(
                f"{self.path} holds {span}; without a description they must lie in 0...1"
            )
        self.params = params
        # Copies of one recording lie side by side there: one block at the end leaks least.
        total, self.described = len(self.pictures), {}
        train = total - total // 10
        self.files = [
            {"file": self.path.name, "split": "train", "first": 0, "pictures": train},
            {"file": self.path.name, "split": SPLITS[1], "first": train, "pictures": total - train},
        ]


class GCPSpectrogramSet(SpectrogramSet):
    """A `SpectrogramSet` whose file lies in a Google Cloud Storage bucket."""

    def __init__(self, file_name: str, bucket_name: str, **options):
        super().__init__(bucket_path(bucket_name, file_name), **options)


class Told(torch.utils.data.Dataset):
    """The pictures of a set, of which something else is said.

    Args:
        said: a row for each picture.
    """

    def __init__(self, pictures: SpectrogramSet, said: torch.Tensor):
        self.pictures, self.said = pictures, said

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.pictures[index]

    def conditions(self, indices: Sequence[int]) -> torch.Tensor:
        """As `SpectrogramSet.conditions`."""
        return self.said[torch.from_numpy(np.asarray(indices, int))]


def open_splits(
    dataset: str, bucket_name: str = "", condition: str = ""
) -> tuple[SpectrogramSet, SpectrogramSet]:
    """Pictures to train and to validate of a data set in `data/spectrograms/`, or in a bucket.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet`.
    """
    path = dataset if is_bucket(dataset) else f"spectrograms/{dataset}"
    path = bucket_path(bucket_name, dataset) if bucket_name else path
    return tuple(SpectrogramSet(path, split, condition=condition) for split in SPLITS)


def open_pictures(path: Path) -> np.ndarray:
    """The memory map of a file of pictures.

    Raises:
        ValueError: it is not one.
    """
    try:
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a whole .npy of numbers: {error}") from error
    if not isinstance(pictures, np.ndarray):
        raise ValueError(f"{path} is an archive of arrays (.npz); needed: one .npy")
    if pictures.ndim != 4 or pictures.shape[1] != 1 or pictures.dtype.kind != "f":
        raise ValueError(
            f"{path} holds {pictures.dtype} of shape {pictures.shape}; "
            "needed: floats of shape (N, 1, n_mels, n_frames)"
        )
    return pictures
