"""Folders of a bucket, fetched with any names: each content once, and only what changed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases import leftovers, one_sentence, vowel, write
from cloud import ALWAYS
from transfers import ODD, files, in_workbook

from ddpmlib.audio.recording import find_audio
from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.preparation import Preparation
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.google_cloud import BucketError
from ddpmlib.storage.paths import download, fetch, publish

V = "gs://corpora/v"


@pytest.fixture(autouse=True)
def workbook(bucket, tmp_path, monkeypatch):
    return in_workbook(tmp_path, monkeypatch)


@pytest.mark.parametrize("path", [V, f"{V}/", Path(V)])
def test_a_folder_is_fetched_with_all_its_names(path, bucket):
    bucket.fill("v", ODD)
    bucket.write("v/")  # what a web console makes of an empty folder
    bucket.write("v/empty/")
    bucket.write("very near.wav")
    folder = fetch(path)
    assert folder.name == "v"
    assert files(folder) == {name: name for name in ODD}
    assert sorted(find_audio(path)) == sorted(folder / name for name in ODD)
    assert not (folder / "empty").exists()


def test_a_data_set_is_built_from_a_bucket_as_from_a_disk(bucket, workbook):
    for i, name in enumerate(ODD):
        file = write(workbook / "voices" / name, vowel(0.2, hz=100 + 10 * i))
        bucket.write(f"voices/{name}", file.read_bytes())
    how = Preparation(SpectrogramParams(n_mels=8, n_frames=16), validation_share=0.4)
    here, there = (
        SpectrogramSet(build_dataset(folder, name, how, workers=1), split=None)
        for folder, name in [(workbook / "voices", "here"), ("gs://corpora/voices", "there")]
    )
    assert np.array_equal(here.mels, there.mels)
    assert here.files == there.files
    assert sorted(span["file"] for span in here.files) == sorted(ODD)


def test_only_what_changed_is_fetched_again(bucket):
    bucket.fill("v", ODD)
    before = fetch(V)
    bucket.clear()
    bucket.write("v/a.wav", b"other")
    bucket.write("v/new.wav", b"new")
    bucket.delete(f"v/{ODD[1]}")
    after = files(fetch(V))
    assert after == {n: n for n in ODD if n != ODD[1]} | {"a.wav": "other", "new.wav": "new"}
    assert sorted(bucket.fetched) == ["v/a.wav", "v/new.wav"]
    assert files(before) == {name: name for name in ODD}  # whoever reads there goes on


def test_a_second_fetch_transfers_nothing_and_restores_what_is_lost(bucket):
    bucket.fill("v", ODD)
    folder = fetch(V)
    (folder / "a.wav").unlink()
    bucket.clear()
    assert fetch(V) == folder
    assert files(folder) == {name: name for name in ODD}
    assert bucket.fetched == []


def test_the_same_content_under_many_names_is_fetched_once(bucket):
    for name in ("a.wav", "b/a.wav", "b/c.wav"):
        bucket.write(f"v/{name}", b"silence")
    assert files(fetch(V)) == dict.fromkeys(("a.wav", "b/a.wav", "b/c.wav"), "silence")
    assert len(bucket.fetched) == 1


def test_a_whole_bucket_is_a_folder(bucket):
    bucket.fill("v", ODD)
    assert files(fetch("gs://corpora")) == {f"v/{name}": name for name in ODD}


def test_an_object_and_a_folder_of_the_same_name(bucket, workbook):
    bucket.write("v", b"object")
    bucket.fill("v", ["a", "b"])
    assert fetch(V).read_text() == "object"
    assert files(fetch(f"{V}/")) == {"a": "a", "b": "b"}
    download(V, workbook / "there")
    assert files(workbook / "there") == {"a": "a", "b": "b"}
    bucket.clear()
    publish(workbook / "there", V)
    assert bucket.sent == []
    with pytest.raises(BucketError, match="gs://corpora holds 'v' as a file and as a folder"):
        fetch("gs://corpora")


BAD = ["../../../x", "a/../../x", "..", ".", "./x", "a/./x", "/x", "a//x", "a\0b"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("use", [fetch, lambda path: download(path, "deep/er/there")])
def test_names_that_would_lead_elsewhere_are_refused(name, use, bucket, workbook):
    bucket.fill("v", ["a.wav", name])
    before = files(workbook)
    with pytest.raises(BucketError, match="is no name for a file") as caught:
        use(V)
    assert one_sentence(caught.value, V, repr(name))
    assert files(workbook) == before
    assert bucket.fetched == []


def test_many_at_once_fetch_the_same(bucket, workbook):
    bucket.fill("v", ODD)
    with ThreadPoolExecutor(6) as pool:
        folders = list(pool.map(lambda _: files(fetch(V)), range(6)))
    assert folders == [{name: name for name in ODD}] * 6
    assert leftovers(workbook / "data") == []


def test_one_that_cannot_be_fetched_leaves_no_folder(bucket, workbook):
    bucket.fill("v", ODD)
    bucket.fail(403, ALWAYS, path="a.wav.*alt=media")
    with pytest.raises(BucketError, match=r"gs://corpora/v/a\.wav: permission denied"):
        fetch(V)
    assert not (workbook / "data/cache/names").exists()
    bucket.faults.clear()
    assert files(fetch(V)) == {name: name for name in ODD}
