"""Reading one `.npy`: splits, refusals, the original's format, more than memory holds."""

import gc
import json
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import one_sentence

from ddpmlib.data.build import combine
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.manifest import Entry
from ddpmlib.data.preparation import Preparation
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams

SHAPE = (7, 1, 64, 256)


@pytest.fixture
def npy(tmp_path):
    """Seven mels of three recordings, made by hand; number i holds i / 10 - 0.5."""
    values = np.arange(7) / 10 - 0.5
    np.save(tmp_path / "x.npy", np.broadcast_to(values[:, None, None, None], SHAPE).astype("f2"))
    describe(tmp_path / "x.json")
    return tmp_path / "x.npy"


def describe(path, **changes) -> None:
    spans = [("a", "train", 0, 3), ("b", "validation", 3, 1), ("c", "train", 4, 3)]
    files = [dict(zip(("file", "split", "first", "pictures"), s, strict=True)) for s in spans]
    description = {"params": DEFAULT.to_dict(), "shape": SHAPE, "files": files}
    path.write_text(json.dumps(description | changes))


def values(mels) -> list[float]:
    return [round(float(mel.mean()), 2) for mel in mels]


def test_splits_rows_and_sources(npy):
    train, validation, both = (SpectrogramSet(npy, s) for s in ("train", "validation", None))
    assert values(train) == [-0.5, -0.4, -0.3, -0.1, 0, 0.1]
    assert values(validation) == [-0.2]
    assert values(both) == [-0.5, -0.4, -0.3, -0.2, -0.1, 0, 0.1]
    assert [train.source(i) for i in range(6)] == list("aaaccc")
    assert validation.source(0) == "b"
    assert train[-1].shape == (1, 64, 256)
    assert train[0].dtype == torch.float32
    with pytest.raises(ValueError, match="split is 'test'; needed: train, validation or None"):
        SpectrogramSet(npy, "test")


def test_a_pickled_data_set_holds_no_mels(npy):
    data = SpectrogramSet(npy)
    pickled = pickle.dumps(data)
    assert len(pickled) < 5000
    assert values(pickle.loads(pickled)) == values(data)


def test_parameters_given_must_be_those_of_the_data(npy):
    assert SpectrogramSet(npy, params=SpectrogramParams()).params == DEFAULT
    with pytest.raises(ValueError, match="hop_length") as caught:
        SpectrogramSet(npy, params=SpectrogramParams(hop_length=128))
    assert one_sentence(caught.value, "256 in x.npy", "128 in the parameters given")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((7, 64, 256), "f2"), "float16 of shape (7, 64, 256)"),
        (np.zeros((7, 3, 64, 256), "f2"), "shape (7, 3, 64, 256)"),
        (np.zeros(SHAPE, "u1"), "uint8"),
        (np.zeros(SHAPE, bool), "bool"),
        (np.float16(0), "shape ()"),
        (np.zeros((7, 1, 80, 256), "f2"), "(7, 1, 80, 256)"),
        (np.zeros((6, 1, 64, 256), "f2"), "(6, 1, 64, 256)"),
    ],
)
def test_arrays_that_are_no_such_mels_are_refused(npy, array, words):
    np.save(npy, array)
    with pytest.raises(ValueError, match=r"needed|says") as caught:
        SpectrogramSet(npy)
    assert one_sentence(caught.value, npy, words)


def test_a_cut_off_file_is_refused(npy):
    whole = npy.read_bytes()
    for length in (0, 5, 60, 200, len(whole) - 1):
        npy.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"not a whole \.npy of numbers") as caught:
            SpectrogramSet(npy)
        assert one_sentence(caught.value, npy)


class Bomb:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('exploded').touch()",)


@pytest.mark.parametrize("how", ["objects", "pickle", "archive"])
def test_pickled_objects_are_never_opened(npy, how, monkeypatch):
    monkeypatch.chdir(npy.parent)
    if how == "objects":
        np.save(npy, np.array([Bomb()], dtype=object), allow_pickle=True)
    elif how == "pickle":
        npy.write_bytes(pickle.dumps(Bomb()))
    else:
        with npy.open("wb") as stream:
            np.savez(stream, a=np.zeros(SHAPE))
    with pytest.raises(ValueError, match=r"not a whole|\.npz") as caught:
        SpectrogramSet(npy)
    assert str(npy) in str(caught.value)
    assert not (npy.parent / "exploded").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (8, 1, 64, 256)},
        {"files": [{"file": "a", "split": "train", "first": 0, "pictures": 8}]},
        {"files": [{"file": "a", "split": "train", "first": 0}]},
        {"files": None},
        {"params": DEFAULT.to_dict() | {"n_fft": "1024"}},
        {"params": DEFAULT.to_dict() | {"hop": 1}},
        {"params": DEFAULT.to_dict() | {"n_frames": 128}},
    ],
)
def test_a_description_of_something_else_is_refused(npy, changes):
    describe(npy.with_suffix(".json"), **changes)
    with pytest.raises(ValueError, match=r"description|parameters") as caught:
        SpectrogramSet(npy)
    assert one_sentence(caught.value, npy.with_suffix(""))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"params": {}}'])
def test_a_damaged_description_is_named(npy, text):
    npy.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json is no description of a data set"):
        SpectrogramSet(npy)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npy does not exist"):
        SpectrogramSet(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="not a whole"):
        SpectrogramSet(tmp_path)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_the_originals_array_is_read_with_parameters_only(tmp_path, dtype):
    path = tmp_path / "data256.npy"
    mel = np.linspace(0, 1, 64 * 256).reshape(1, 64, 256)
    np.save(path, np.broadcast_to(mel, (20, 1, 64, 256)).astype(dtype))
    with pytest.raises(ValueError, match=r"no data256\.json beside it; give params="):
        SpectrogramSet(path)
    train, validation = (SpectrogramSet(path, s, DEFAULT) for s in ("train", "validation"))
    assert (len(train), len(validation)) == (18, 2)
    for data in (train, validation):
        assert data[0].dtype == torch.float32
        np.testing.assert_allclose(data[0], mel * 2 - 1, atol=2e-3)
    assert validation.source(0) == "data256.npy"
    with pytest.raises(ValueError, match=r"\(64, 256\); its parameters say \(80, 256\)"):
        SpectrogramSet(path, params=SpectrogramParams(n_mels=80))


@pytest.mark.parametrize("wrong", [-0.5, 1.5, np.nan])
@pytest.mark.parametrize("where", [0, 499])
def test_an_undescribed_array_outside_0_to_1_is_refused(tmp_path, wrong, where):
    mels = np.zeros((500, 1, 8, 8), np.float16)
    mels[where - 20 if where else 0 :] = wrong
    np.save(tmp_path / "x.npy", mels)
    params = SpectrogramParams(n_mels=8, n_frames=8)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.\.1"):
        SpectrogramSet(tmp_path / "x.npy", params=params)


def test_an_undescribed_array_without_mels_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 1, 64, 256), np.float16))
    with pytest.raises(ValueError, match=r"x\.npy"):
        SpectrogramSet(tmp_path / "x.npy", params=DEFAULT)


def test_a_set_larger_than_memory_is_joined_and_read(tmp_path):
    (tmp_path / "big").mkdir()
    shape = (200, 1, 64, 256)  # 6.6 MB
    mels = (np.random.default_rng(0).random(shape, np.float32) * 2 - 1).astype(np.float16)
    np.save(tmp_path / "big" / "a.npy", mels)
    entries = [Entry(f"{i}.wav", "", "", "train", "a.npy", shape[0]) for i in range(40)]
    gc.collect()  # what is freed later would count as room
    status = Path("/proc/self/status").read_text()
    used = int(status.split("VmData:")[1].split()[0]) * 1024
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    # Maps of files do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (used + 50_000_000, limits[1]))
    try:
        npy = combine(entries, tmp_path / "big", Preparation())
        data = SpectrogramSet(npy)
        batches = torch.utils.data.DataLoader(data, batch_size=64)
        total = sum(float(batch.sum()) for batch in batches)
        with pytest.raises(MemoryError):
            np.load(npy)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert (len(data), npy.stat().st_size) == (8000, 128 + 2 * 40 * mels.size)
    assert total == pytest.approx(40 * mels.sum(dtype=np.float64), rel=1e-3)
