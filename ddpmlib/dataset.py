"""One `.npy` of pictures with its parameters beside it, and the data sets that read it."""

import bisect
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ddpmlib.buckets import is_bucket
from ddpmlib.cutting import join, joined_pictures
from ddpmlib.manifest import SPLITS, UTF8, Entry, summary
from ddpmlib.preparation import Preparation, prepare
from ddpmlib.spectrogram import SpectrogramParams
from ddpmlib.storage import (
    atomic_write,
    bucket_path,
    data_folder,
    fetch,
    fetch_beside,
    write_array,
)


def build(
    folder: str | Path, name: str, preparation: Preparation | None = None, workers: int = -1
) -> Path:
    """Folder of recordings -> `data/spectrograms/NAME.npy` and `NAME.json`; prints a summary.

    The arrays of the single recordings stay in `data/spectrograms/NAME/`; building again does
    only what is new.

    Raises:
        ValueError: a name with a folder in it, or no usable recording.
        OSError: see `prepare`.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise ValueError(f"name is {name!r}; needed: a plain name without folders, like my_voice")
    preparation = preparation or Preparation()
    folder_of_arrays = data_folder() / "spectrograms" / name
    entries = prepare(folder, folder_of_arrays, preparation, workers)
    if preparation.join:
        n_frames, overlap = preparation.params.n_frames, preparation.overlap
        entries = join(entries, n_frames, overlap, preparation.seed)
    print(summary(entries, preparation.params))
    return combine(entries, folder_of_arrays, preparation, folder)


def combine(
    entries: list[Entry], arrays: Path, preparation: Preparation, folder: str | Path = ""
) -> Path:
    """Bring the arrays of `prepare` into one file `arrays.npy`, described by `arrays.json`.

    Peak memory is that of one recording. Both files appear only when complete; a pair made
    earlier stays usable until then.

    Raises:
        ValueError: no usable recording among the entries, or an array that is not whole.
        OSError: cannot be written (no space, no permission).
    """
    used = [entry for entry in entries if entry.output]
    if not used:
        reasons = "; ".join(f"{e.file}: {e.reason}" for e in entries[:3])
        raise ValueError(f"none of {len(entries)} recordings can be used ({reasons})")
    firsts = np.cumsum([0, *(entry.pictures for entry in used)])
    shape = (int(firsts[-1]), 1, *preparation.params.image_size)
    description = {
        "folder": str(folder),  # of the recordings, where it was when they were prepared
        "params": preparation.params.to_dict(),
        "shape": shape,
        "overlap": preparation.overlap,
        "join": preparation.join,
        "augment": preparation.augment,
        "files": [
            {
                "file": e.file,
                "sha256": e.sha256,
                "split": e.split,
                "first": int(first),
                "pictures": e.pictures,
            }
            for e, first in zip(used, firsts[:-1], strict=True)
        ],
        "skipped": [{"file": e.file, "reason": e.reason} for e in entries if e.reason],
    }
    npy, sidecar = arrays.with_name(arrays.name + ".npy"), arrays.with_name(arrays.name + ".json")
    with atomic_write(sidecar) as new_sidecar, atomic_write(npy) as new_npy:
        new_sidecar.write_text(json.dumps(description, indent=1, ensure_ascii=False), **UTF8)
        pictures = _arrays_of(used, arrays, preparation.params)
        if preparation.join:
            n_frames, overlap = preparation.params.n_frames, preparation.overlap
            pictures = joined_pictures(used, pictures, n_frames, overlap)
        write_array(new_npy, shape, pictures)
        sidecar.unlink(missing_ok=True)  # never an old description beside new data
    return npy


class SpectrogramSet(torch.utils.data.Dataset):
    """Pictures (1, n_mels, n_frames) float32 in [-1, 1], read from a memory-mapped `.npy`.

    Args:
        path: `NAME.npy` with `NAME.json` beside it; or, with `params` given, an array
            (N, 1, n_mels, n_frames) of values in 0...1 without one, as the original project wrote.
        split: "train", "validation" or None for every picture.
        params: the grid of an array that has no description.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off, not pictures, or not what its description says.
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = "train",
        params: SpectrogramParams | None = None,
    ):
        if split not in (*SPLITS, None):
            raise ValueError(f"split is {split!r}; needed: train, validation or None")
        self.path = fetch(path)
        self.pictures = _open_pictures(self.path)
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

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = torch.from_numpy(self.pictures[self.rows[index]].astype(np.float32))
        return picture if self.has_description else picture * 2 - 1

    def __getstate__(self) -> dict:
        return self.__dict__ | {"pictures": None}  # a pickled memory map would hold all pictures

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        self.pictures = _open_pictures(self.path)

    def source(self, index: int) -> str:
        """File name of the recording that a picture was cut from."""
        return self.files[bisect.bisect(self.firsts, self.rows[index]) - 1]["file"]

    @property
    def fingerprint(self) -> str:
        """Number of pictures, and a hash of the recordings, their order and the split."""
        text = json.dumps(self.files, sort_keys=True)
        return f"{len(self.pictures)} pictures ({hashlib.sha256(text.encode()).hexdigest()[:8]})"

    def _read_description(self, sidecar: Path, params: SpectrogramParams | None) -> None:
        try:
            description = json.loads(sidecar.read_text("utf-8"))
            self.params = SpectrogramParams.from_dict(description["params"])
            self.files, shape = description["files"], tuple(description["shape"])
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
        total = len(self.pictures)
        train = total - total // 10
        self.files = [
            {"file": self.path.name, "split": "train", "first": 0, "pictures": train},
            {"file": self.path.name, "split": SPLITS[1], "first": train, "pictures": total - train},
        ]


class GCPSpectrogramSet(SpectrogramSet):
    """A `SpectrogramSet` whose file lies in a Google Cloud Storage bucket."""

    def __init__(self, file_name: str, bucket_name: str, **options):
        super().__init__(bucket_path(bucket_name, file_name), **options)


def open_splits(dataset: str, bucket_name: str = "") -> tuple[SpectrogramSet, SpectrogramSet]:
    """Pictures to train and to validate of a data set in `data/spectrograms/`, or in a bucket.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet`.
    """
    if bucket_name:
        return tuple(GCPSpectrogramSet(dataset, bucket_name, split=split) for split in SPLITS)
    path = dataset if is_bucket(dataset) else f"spectrograms/{dataset}"
    return tuple(SpectrogramSet(path, split) for split in SPLITS)


def _open_pictures(path: Path) -> np.ndarray:
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


def _arrays_of(used: list[Entry], arrays: Path, params: SpectrogramParams) -> Iterator[np.ndarray]:
    for entry in used:
        path, needed = arrays / entry.output, entry.shape(params)
        array = _open_pictures(path)
        if array.shape != needed:
            raise ValueError(f"{path} has shape {array.shape}; needed: {needed}")
        yield array
