"""A local folder and its mirror in a bucket: only what differs, checkpoints last."""

import os
from pathlib import Path

import pytest
from cases import leftovers
from cloud import ALWAYS, CONTENT, UPLOAD
from transfers import ODD, files, in_workbook, make

from ddpmlib.storage import google_cloud
from ddpmlib.storage.google_cloud import BucketError
from ddpmlib.storage.paths import download, publish

RUN = ["config.json", "metrics.csv", "samples/1.png", "model.safetensors"]
V = "gs://corpora/v"


@pytest.fixture(autouse=True)
def workbook(bucket, tmp_path, monkeypatch):
    return in_workbook(tmp_path, monkeypatch)


def test_a_folder_is_published_with_its_checkpoint_last(bucket, workbook):
    publish(make(workbook / "run", [*RUN, "checkpoint.pt", "a/checkpoint.pt"]), V)
    assert bucket.names() == sorted(f"v/{n}" for n in [*RUN, "checkpoint.pt", "a/checkpoint.pt"])
    assert sorted(bucket.sent[-2:]) == ["v/a/checkpoint.pt", "v/checkpoint.pt"]
    assert all(bucket.read(f"v/{name}") == name.encode() for name in RUN)


def test_odd_names_go_up_and_down(bucket, workbook):
    publish(make(workbook / "odd", ODD), V)
    assert bucket.names() == sorted(f"v/{name}" for name in ODD)
    download(V, workbook / "there")
    assert files(workbook / "there") == {name: name for name in ODD}


def test_only_what_differs_is_published_and_nothing_deleted(bucket, workbook):
    run = make(workbook / "run", RUN)
    publish(run, V)
    bucket.clear()
    bucket.write("v/only there", b"stays")
    bucket.write("v/samples/1.png", b"samples/1.pnG")  # as long as the one here
    os.utime(run / "config.json", (0, 0))
    make(run, ["metrics.csv"], "longer than it was")
    publish(run, f"{V}/")
    assert sorted(bucket.sent) == ["v/metrics.csv", "v/samples/1.png"]
    assert bucket.read("v/only there") == b"stays"
    publish(run, Path(V))
    assert len(bucket.sent) == 2


def test_hidden_files_are_not_published(bucket, workbook):
    publish(make(workbook / ".run", [".a", "b/.c", ".d/e", "f.", "g/h..i"]), V)
    assert bucket.names() == ["v/f.", "v/g/h..i"]


def test_what_vanishes_meanwhile_is_passed_over(bucket, workbook, monkeypatch):
    run = make(workbook / "run", [*RUN, "checkpoint.pt"])
    (run / "link").symlink_to("nowhere")
    upload = google_cloud.upload

    def upload_late(file, path):
        if file.name == "1.png":
            file.unlink()
        upload(file, path)

    monkeypatch.setattr(google_cloud, "upload", upload_late)
    publish(run, V)
    expected = {*RUN, "checkpoint.pt"} - {"samples/1.png"}
    assert bucket.names() == sorted(f"v/{name}" for name in expected)


def test_a_checkpoint_waits_for_what_it_refers_to(bucket, workbook):
    run = make(workbook / "run", [*RUN, "checkpoint.pt"])
    bucket.write("v/checkpoint.pt", b"old")
    bucket.fail(403, ALWAYS, path=f"{UPLOAD}.*metrics.csv")
    with pytest.raises(BucketError, match=r"gs://corpora/v/metrics\.csv: permission denied"):
        publish(run, V)
    assert bucket.read("v/checkpoint.pt") == b"old"
    assert "v/checkpoint.pt" not in bucket.sent
    bucket.faults.clear()
    publish(run, V)
    assert bucket.read("v/checkpoint.pt") == b"checkpoint.pt"


# --- download


def test_a_folder_is_downloaded_with_its_checkpoint_last(bucket, workbook):
    bucket.fill("v", [*RUN, "checkpoint.pt"])
    run = make(workbook / "run", ["config.json", "only here"])
    make(run, ["metrics.csv"], "old")
    download(V, run)
    assert files(run) == {n: n for n in [*RUN, "checkpoint.pt", "only here"]}
    assert "v/config.json" not in bucket.fetched
    assert bucket.fetched[-1] == "v/checkpoint.pt"
    bucket.clear()
    download(V, run)
    assert bucket.fetched == []


def test_a_refused_download_leaves_the_old_files(bucket, workbook):
    bucket.fill("v", [*RUN, "checkpoint.pt"])
    run = make(workbook / "run", [*RUN, "checkpoint.pt"], "old")
    bucket.fail(403, ALWAYS, path=CONTENT)
    with pytest.raises(BucketError, match="permission denied"):
        download(V, run)
    assert files(run) == dict.fromkeys([*RUN, "checkpoint.pt"], "old")
    bucket.faults.clear()
    bucket.fail(403, ALWAYS, path="model.*alt=media")
    with pytest.raises(BucketError, match=r"model\.safetensors: permission denied"):
        download(V, run)
    assert files(run)["checkpoint.pt"] == "old"
    assert leftovers(run) == []
