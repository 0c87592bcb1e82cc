"""Helpers of the tests of buckets: a workbook on this side, and files and names to move."""

import signal
from pathlib import Path

import numpy as np
import pytest
from cloud import running_bucket

from ddpmlib.storage import google_cloud

RUN = "gs://corpora/my run"
HERE = {"name": "my run", "result_bucket": "corpora", "num_samples": 1}
OFTEN = {"checkpoint_minutes": 1e-9}  # a checkpoint and an upload after every step
ODD = ["a.wav", "Ärger – 声 🔊.wav", "100% sure?.wav", "room #1/a b+c&d=e.wav", "a/b/c/'\"\\.wav"]


def in_workbook(folder: Path, monkeypatch) -> Path:
    """Make a folder the workbook's top level and the current one; it waits little there."""
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text("here")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(google_cloud, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(google_cloud, "PATIENCE", 20.0)
    return folder


def random_bytes(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def cached(workbook: Path) -> list[bytes]:
    """Contents of all files in the cache, hidden ones too."""
    files = (path for path in (workbook / "data").rglob("*") if not path.is_symlink())
    return [file.read_bytes() for file in files if file.is_file() and file.name != "README.md"]


def files(folder: Path) -> dict[str, str]:
    """Texts of all files below a folder, by name."""
    below = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in below}


def make(folder: Path, names: list[str], text: str = "") -> Path:
    """Write local files that hold their names, or all the same text."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text or name)
    return folder


def whole_run(folder: Path) -> Path:
    """The folder of an uninterrupted run with the settings of HERE."""
    from tiny import fit  # needs torch, as little else here does

    with running_bucket() as bucket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        fit(in_workbook(folder, patch), **HERE)
    return folder / "run"


def interrupted(folder: Path, step: int, **settings) -> None:
    """Train until Ctrl-C after a step."""
    from tiny import fit

    def stop(progress):
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(folder, callback=stop, **HERE | settings)


def on_disk(run: Path, but=("events",)) -> dict[str, bytes]:
    """Files of a run by name, without the log for TensorBoard."""
    files = {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    return {n: c for n, c in files.items() if not any(word in n for word in but)}


def mirrored(bucket, place="my run", but=("events",)) -> dict[str, bytes]:
    """The same of its mirror."""
    names = [n.removeprefix(f"{place}/") for n in bucket.names(f"{place}/")]
    return {n: bucket.read(f"{place}/{n}") for n in names if not any(word in n for word in but)}


def step_of(path: Path) -> int:
    from ddpmlib.training.checkpoint import read_checkpoint

    return read_checkpoint(path)["counters"]["step"]
