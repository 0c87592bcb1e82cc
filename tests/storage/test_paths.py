"""Path arguments: local ones are found, those in a bucket are read and written alike."""

from pathlib import Path

import numpy as np
import pytest
from cases import one_sentence
from transfers import in_workbook

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.codec import load_png, save_png
from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import bucket_path, data_folder, fetch


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    (tmp_path / "a_file").write_text("a regular file")
    return in_workbook(tmp_path, monkeypatch)


def test_data_folder_is_found_from_the_top_level_and_from_notebooks(workbook, monkeypatch):
    assert data_folder() == workbook / "data"
    (workbook / "notebooks").mkdir()
    monkeypatch.chdir(workbook / "notebooks")
    assert data_folder() == workbook / "data"


def test_data_folder_elsewhere_is_beside_the_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_folder() == Path(__file__).parents[2] / "data"


def test_fetch_searches_the_current_folder_then_in_data(workbook):
    (workbook / "data" / "x.npy").write_text("in data")
    assert fetch("x.npy") == workbook / "data" / "x.npy"
    (workbook / "x.npy").write_text("here")
    assert fetch("x.npy") == workbook / "x.npy"
    assert fetch(workbook / "data" / "x.npy") == workbook / "data" / "x.npy"


def test_fetch_expands_the_home_folder(workbook, monkeypatch):
    monkeypatch.setenv("HOME", str(workbook))
    assert fetch("~/a_file") == workbook / "a_file"


def test_fetch_names_the_places_it_searched(workbook):
    with pytest.raises(FileNotFoundError) as caught:
        fetch("missing.npy")
    assert one_sentence(caught.value, workbook / "missing.npy", workbook / "data" / "missing.npy")


def test_writers_and_readers_take_paths_in_a_bucket(bucket, workbook):
    mel, sound = np.linspace(-1, 1, 64).reshape(8, 8), np.linspace(-0.5, 0.5, 8000)
    for kind in (str, Path):
        save_png(kind("gs://corpora/a/x.png"), mel)
        save_wav(kind("gs://corpora/a/x.wav"), sound, 16000)
        with atomic_write(kind("gs://corpora/a/x.txt")) as temporary:
            assert temporary.name == "x.txt"
            temporary.write_text("text")
        assert bucket.names() == ["a/x.png", "a/x.txt", "a/x.wav"]
        assert load_png(kind("gs://corpora/a/x.png")) == pytest.approx(mel, abs=0.01)
        samples = load_audio(kind("gs://corpora/a/x.wav"), 16000).samples
        assert samples == pytest.approx(sound, abs=1e-3)
        assert fetch(kind("gs://corpora/a/x.txt")).read_text() == "text"
        for name in bucket.names():
            bucket.delete(name)
    assert not (workbook / "gs:").exists()


def test_weights_take_paths_in_a_bucket(bucket, workbook):
    import torch
    from tiny import NETWORK, PARAMS

    from ddpmlib.diffusion.ddpm import DDPM
    from ddpmlib.models.unet import UNet

    model = DDPM(UNet(NETWORK), PARAMS)
    for kind in (str, Path):
        model.save(kind("gs://corpora/a/model.safetensors"), step=3)
        assert bucket.names() == ["a/model.safetensors"]
        for path in ("gs://corpora/a/model.safetensors", "gs://corpora/a"):
            loaded = DDPM.load(kind(path)).network.state_dict()
            assert all(torch.equal(loaded[n], w) for n, w in model.network.state_dict().items())
        bucket.delete("a/model.safetensors")


@pytest.mark.parametrize("bucket", ["b", "gs://b", "gs://b/", "b/"])
def test_bucket_path_with_and_without_prefix(bucket):
    assert bucket_path(bucket, "x.npy") == "gs://b/x.npy"
