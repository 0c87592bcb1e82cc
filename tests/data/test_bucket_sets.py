"""Data sets in a bucket: the same mel-spectrograms as on a local disk, fetched once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import PARAMS, write_conditions, write_data
from transfers import in_workbook

from ddpmlib.data.dataset import GCPSpectrogramSet, SpectrogramSet
from ddpmlib.models.condition import ClassCondition

TINY = "gs://corpora/voices/tiny.npy"


@pytest.fixture
def npy(bucket, tmp_path, monkeypatch):
    """A data set on the disk, and the same in the bucket."""
    npy = write_data(in_workbook(tmp_path, monkeypatch))
    for file in (npy, npy.with_suffix(".json")):
        bucket.write(f"voices/{file.name}", file.read_bytes())
    return npy


def same(one: SpectrogramSet, other: SpectrogramSet) -> bool:
    mels = all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    return mels and (one.params, one.fingerprint) == (other.params, other.fingerprint)


WAYS = {
    "str": lambda split: SpectrogramSet(TINY, split),
    "Path": lambda split: SpectrogramSet(Path(TINY), split),
    "GCP": lambda split: GCPSpectrogramSet("voices/tiny.npy", "corpora", split=split),
    "prefix": lambda split: GCPSpectrogramSet("voices/tiny.npy", "gs://corpora", split=split),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_set_in_a_bucket_is_the_one_on_the_disk(way, npy, bucket):
    for split in ("train", "validation", None):
        there = WAYS[way](split)
        assert isinstance(there.mels, np.memmap)
        assert same(there, SpectrogramSet(npy, split))
    assert sorted(bucket.fetched) == ["voices/tiny.json", "voices/tiny.npy"]  # once for all splits


def test_a_new_description_is_seen_though_the_mels_stay(npy, bucket):
    before = SpectrogramSet(TINY).fingerprint
    changed = npy.with_suffix(".json").read_bytes().replace(b"speaker", b"another")
    bucket.write("voices/tiny.json", changed)
    assert SpectrogramSet(TINY).fingerprint != before
    assert bucket.fetched.count("voices/tiny.npy") == 1


def test_worker_processes_read_a_set_in_a_bucket(npy, bucket):
    there = torch.utils.data.DataLoader(SpectrogramSet(TINY), batch_size=2, num_workers=2)
    assert torch.equal(torch.cat(list(there)), torch.stack(list(SpectrogramSet(npy))))
    assert len(bucket.fetched) == 2


def test_a_set_without_description_is_the_originals(npy, bucket):
    path = npy.with_name("data256.npy")
    np.save(path, (np.load(npy) + 1) / 2)
    bucket.write("data256.npy", path.read_bytes())
    with pytest.raises(ValueError, match=r"no data256\.json beside it; give params="):
        GCPSpectrogramSet("data256.npy", "corpora")
    for split in ("train", "validation"):
        there = GCPSpectrogramSet("data256.npy", "corpora", split=split, params=PARAMS)
        assert same(there, SpectrogramSet(path, split, PARAMS))
    assert bucket.fetched == ["data256.npy"]


def test_a_missing_set_is_named(npy):
    with pytest.raises(FileNotFoundError, match=r"^gs://corpora/none/x\.npy does not exist$"):
        GCPSpectrogramSet("none/x.npy", "corpora")
    with pytest.raises(FileNotFoundError, match=r"^bucket gs://nobodys of gs://nobodys/x\.npy"):
        GCPSpectrogramSet("x.npy", "nobodys")


def test_conditions_lie_in_the_bucket_too(npy, bucket):
    write_conditions(npy, side=(ClassCondition(2), ["0", "1", None] * 7))
    bucket.write("voices/tiny.json", npy.with_suffix(".json").read_bytes())
    with pytest.raises(ValueError, match=r"tiny\.side\.npy is not whole"):
        SpectrogramSet(TINY, condition="side")
    bucket.write("voices/tiny.side.npy", npy.with_suffix(".side.npy").read_bytes())
    there = GCPSpectrogramSet("voices/tiny.npy", "corpora", condition="side")
    here = SpectrogramSet(npy, condition="side")
    assert torch.equal(there.conditions(range(18)), here.conditions(range(18)))
    assert same(there, here)
    assert bucket.fetched.count("voices/tiny.side.npy") == 1
