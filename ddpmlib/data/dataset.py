"""Data sets that read one `.npy` of mel-spectrograms, with parameters and conditions beside it."""

import bisect
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib.data.conditions import open_condition
from ddpmlib.data.manifest import MELS, SPLITS
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.google_cloud import is_bucket
from ddpmlib.storage.paths import bucket_path, fetch, fetch_beside
from ddpmlib.text.alignment import Alignment
from ddpmlib.text.corpus import read_alignments


class SpectrogramSet(torch.utils.data.Dataset):
    """Mel-spectrograms (1, n_mels, n_frames) float32 in [-1, 1] of a memory-mapped `.npy`.

    Args:
        path: `NAME.npy` with `NAME.json` beside it; or, with `params` given, an array
            (N, 1, n_mels, n_frames) of values in 0...1 without one, as the original project wrote.
        split: "train", "validation" or None for both.
        params: of an array that has no description.
        condition: a column of the metadata, such as "speaker"; empty: none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off, no mel-spectrograms, not what its description says, or without the
            condition.
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
        self.path, self.split = fetch(path), split
        self.mels = open_mels(self.path)
        sidecar = fetch_beside(path, ".json")
        self.has_description = sidecar is not None
        if sidecar:
            described = self._read_description(sidecar, params)
        else:
            described = self._assume_original_format(params)
        if (expected := self.params.image_size) != self.mels.shape[2:]:
            raise ValueError(
                f"{self.path} holds mel-spectrograms of {self.mels.shape[2:]}; its parameters say "
                f"{expected}"
            )
        spans = [f for f in self.files if split in (f["split"], None)]
        rows = [np.arange(f["first"], f["first"] + f[MELS]) for f in spans]
        self.rows = np.concatenate([np.arange(0), *rows])
        self.firsts = [span["first"] for span in self.files]
        # Of recordings; earlier descriptions do not tell, and padding counts.
        spoken = sum(self.spoken.get(each, 0.0) for each in SPLITS if split in (each, None))
        self.seconds = spoken or len(self.rows) * self.params.seconds
        self.condition, self.condition_spec = condition, None
        if condition:
            opened = open_condition(path, described, condition, len(self.mels))
            self.condition_spec, self._condition_path = opened
        self._open_conditions()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        mel = torch.from_numpy(self.mels[self.rows[index]].astype(np.float32))
        return mel if self.has_description else mel * 2 - 1

    def __getstate__(self) -> dict:
        # A pickled memory map would hold all mel-spectrograms.
        return self.__dict__ | {"mels": None, "_condition_rows": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        self.mels = open_mels(self.path)
        self._open_conditions()

    def conditions(self, indices: Sequence[int]) -> torch.Tensor | None:
        """A row for each index, see `models.condition`; None without a condition."""
        if self.condition_spec is None:
            return None
        return torch.from_numpy(self._condition_rows[self.rows[np.asarray(indices, int)]])

    def source(self, index: int) -> str:
        """File name of the recording that a mel-spectrogram was cut from."""
        return self.files[bisect.bisect(self.firsts, self.rows[index]) - 1]["file"]

    def alignments(self) -> list[Alignment]:
        """Those of its recordings that have one, see `text.corpus`."""
        found = read_alignments(self.path)
        files = {file["file"] for file in self.files if self.split in (file["split"], None)}
        return [alignment for file, alignment in found.items() if file in files]

    @property
    def fingerprint(self) -> str:
        """How many there are, and a hash of the recordings, their order, the split, and the
        condition."""
        hashed = hashlib.sha256(json.dumps(self.files, sort_keys=True).encode())
        if self.condition_spec:
            hashed.update(np.ascontiguousarray(self._condition_rows))
        # Checkpoints hold this text.
        return f"{len(self.mels)} pictures ({hashed.hexdigest()[:8]})"

    @property
    def recordings(self) -> dict[str, list]:
        """Split and number of mel-spectrograms of each recording, for checkpoints."""
        found: dict[str, list] = {}
        for span in self.files:
            found.setdefault(span["file"], [span["split"], 0])[1] += span[MELS]
        return found

    def _open_conditions(self) -> None:
        self._condition_rows = None
        if self.condition_spec:
            self._condition_rows = np.load(self._condition_path, mmap_mode="r", allow_pickle=False)

    def _read_description(self, sidecar: Path, params: SpectrogramParams | None) -> dict:
        """Sets `params`, `files` and `spoken`; returns the conditions described."""
        try:
            description = json.loads(sidecar.read_text("utf-8"))
            self.params = SpectrogramParams.from_dict(description["params"])
            self.files, shape = description["files"], tuple(description["shape"])
            self.spoken = description.get("seconds", {})
            described = dict(description.get("conditions", {}))
            rows = sum(span[MELS] for span in self.files if span["split"] in SPLITS)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{sidecar} is no description of a data set: {error}") from error
        if params is not None:
            self.params.check_same(params, self.path.name, "the parameters given")
        if shape != self.mels.shape or rows != len(self.mels):
            raise ValueError(
                f"{self.path} has shape {self.mels.shape}; its description says "
                f"{shape} with {rows} rows in files: build it again"
            )
        return described

    def _assume_original_format(self, params: SpectrogramParams | None) -> dict:
        """As `_read_description`."""
        if params is None:
            raise ValueError(
                f"{self.path} has no {self.path.stem}.json beside it; give params=SpectrogramParams"
                "(...) if it holds values in 0...1 made with them"
            )
        some = self.mels[:: max(1, len(self.mels) // 64)]  # all would take minutes
        if some.size == 0 or not (some.min() >= 0 and some.max() <= 1):
            span = f"values from {some.min():g} to {some.max():g}" if some.size else "no values"
            raise ValueError(
                f"{self.path} holds {span}; without a description they must lie in 0...1"
            )
        self.params, self.spoken = params, {}
        # Copies of one recording lie side by side there: one block at the end leaks least.
        held_out = len(self.mels) // 10
        sizes = len(self.mels) - held_out, held_out
        self.files = [
            {"file": self.path.name, "split": split, "first": first, MELS: size}
            for split, first, size in zip(SPLITS, (0, sizes[0]), sizes, strict=True)
        ]
        return {}


class GCPSpectrogramSet(SpectrogramSet):
    """A `SpectrogramSet` whose file lies in a Google Cloud Storage bucket."""

    def __init__(self, file_name: str, bucket_name: str, **options):
        super().__init__(bucket_path(bucket_name, file_name), **options)


class Reconditioned(torch.utils.data.Subset):
    """All mel-spectrograms of a set with other conditions, a row each."""

    def __init__(self, mels: SpectrogramSet, conditions: torch.Tensor):
        super().__init__(mels, range(len(mels)))
        self._rows = conditions

    def conditions(self, indices: Sequence[int]) -> torch.Tensor:
        """As `SpectrogramSet.conditions`."""
        return self._rows[torch.from_numpy(np.asarray(indices, int))]


def changes(before: dict, now: dict) -> str:
    """How the `recordings` of a data set differ from earlier ones, as a clause."""
    both = before.keys() & now.keys()
    kinds = {
        "added": now.keys() - before.keys(),
        "taken away": before.keys() - now.keys(),
        "moved to the other split": {name for name in both if now[name][0] != before[name][0]},
        "cut otherwise": {name for name in both if now[name][1] != before[name][1]},
    }
    clauses = []
    for kind, names in kinds.items():
        count = "one recording was" if len(names) == 1 else f"{len(names)} recordings were"
        shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        clauses += [f"{count} {kind} ({shown})"] if names else []
    return " and ".join(clauses)


def open_splits(
    dataset: str, bucket_name: str = "", condition: str = ""
) -> tuple[SpectrogramSet, SpectrogramSet]:
    """Training and validation split of a data set in `data/spectrograms/`, or in a bucket.

    Raises:
        FileNotFoundError, ValueError: see `SpectrogramSet`.
    """
    path = dataset if is_bucket(dataset) else f"spectrograms/{dataset}"
    path = bucket_path(bucket_name, dataset) if bucket_name else path
    return tuple(SpectrogramSet(path, split, condition=condition) for split in SPLITS)


def open_mels(path: Path) -> np.ndarray:
    """The memory map (N, 1, n_mels, n_frames) of a file; ValueError where it is none."""
    try:
        mels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a whole .npy of numbers: {error}") from error
    if not isinstance(mels, np.ndarray):
        raise ValueError(f"{path} is an archive of arrays (.npz); needed: one .npy")
    if mels.ndim != 4 or mels.shape[1] != 1 or mels.dtype.kind != "f":
        raise ValueError(
            f"{path} holds {mels.dtype} of shape {mels.shape}; "
            "needed: floats of shape (N, 1, n_mels, n_frames)"
        )
    return mels
