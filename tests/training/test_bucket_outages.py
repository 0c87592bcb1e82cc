"""Training whose bucket refuses or is lost: nothing is lost here, nothing half there."""

import json
import re

import pytest
from cases import leftovers, one_sentence
from cloud import ALWAYS, UPLOAD
from safetensors.torch import load
from tiny import EPOCHS, STEPS, assert_same_run, fit
from transfers import (
    HERE,
    OFTEN,
    RUN,
    interrupted,
    mirrored,
    on_disk,
    step_of,
)

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.storage import google_cloud
from ddpmlib.storage.google_cloud import BucketForbidden, BucketUnreachable, NotInBucket
from ddpmlib.training.checkpoint import read_checkpoint


def assert_whole(bucket, tmp_path) -> None:
    """What is in the bucket can be read."""
    for name, content in mirrored(bucket).items():
        if name == "checkpoint.pt":
            (tmp_path / "copy").write_bytes(content)
            read_checkpoint(tmp_path / "copy")
        elif name.endswith("safetensors"):
            load(content)
        elif name.endswith("json"):
            json.loads(content)


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        ({"result_bucket": "nobodys"}, NotInBucket, "bucket gs://nobodys of gs://nobodys/my run"),
        ({}, BucketForbidden, "my run/config.json: permission denied (403)"),
    ],
)
def test_a_bucket_that_cannot_be_written_fails_before_the_first_step(
    trouble, kind, words, bucket, two_disks
):
    steps = []
    if not trouble:
        bucket.fail(403, ALWAYS, path=f"{UPLOAD}.*config")
    with pytest.raises(kind) as caught:
        fit(two_disks / "here", callback=steps.append, **HERE | trouble)
    assert one_sentence(caught.value, words, f"; the run is safe in {two_disks}/here/run")
    assert steps == []


@pytest.mark.parametrize("after", [2, 3, 4, 5, 9])
def test_a_right_that_is_lost_midway_stops_one_clear_time(after, bucket, two_disks, mirrored_run):
    bucket.fail(403, ALWAYS, 1 + after, path=UPLOAD)  # the first one is that of the lock
    with pytest.raises(BucketForbidden) as caught:
        fit(two_disks / "here", **HERE | OFTEN)
    run = two_disks / "here/run"
    assert one_sentence(caught.value, RUN, "permission denied (403)", f"the run is safe in {run}")
    assert str(caught.value).count("permission") == 1
    assert_whole(bucket, two_disks)
    saved = step_of(run / "checkpoint.pt")
    DDPM.load(run)
    assert leftovers(run) == []
    bucket.faults.clear()
    seen = []
    fit(two_disks / "here", callback=lambda progress: seen.append(progress.step), **HERE)
    assert seen == list(range(saved + 1, EPOCHS * STEPS + 1))
    assert_same_run(run, mirrored_run)
    assert mirrored(bucket) == on_disk(run)


def test_an_outage_midway_is_a_warning_and_made_up_for(
    bucket, two_disks, mirrored_run, monkeypatch
):
    monkeypatch.setattr(google_cloud, "PATIENCE", 0.03)

    def outage(progress):
        if progress.step == 3:
            bucket.fail(503, ALWAYS)
        if progress.step == 6:
            bucket.faults.clear()
            monkeypatch.setattr(google_cloud, "PATIENCE", 20.0)

    with pytest.warns(UserWarning, match="training goes on") as caught:
        fit(two_disks / "here", callback=outage, **HERE | OFTEN)
    lines = [str(w.message) for w in caught if "training goes on" in str(w.message)]
    assert len(lines) == 3
    assert all("\n" not in line and RUN in line and "(503)" in line for line in lines)
    assert mirrored(bucket) == on_disk(two_disks / "here/run")
    fit(two_disks / "here", **HERE)
    assert on_disk(mirrored_run).keys() == mirrored(bucket).keys()


def test_a_bucket_lost_at_the_end_is_an_error_and_made_up_for_by_a_second_call(
    bucket, two_disks, monkeypatch
):
    def lost(progress):
        if progress.step == EPOCHS * STEPS:
            monkeypatch.setattr(google_cloud, "PATIENCE", 0.03)
            bucket.fail(503, ALWAYS)

    with pytest.raises(BucketUnreachable) as caught:
        fit(two_disks / "here", callback=lost, **HERE)
    run = two_disks / "here/run"
    assert one_sentence(caught.value, RUN, "given up", f"the run is safe in {run}")
    assert step_of(run / "checkpoint.pt") == EPOCHS * STEPS
    assert "checkpoint.pt" not in mirrored(bucket)
    bucket.faults.clear()
    monkeypatch.setattr(google_cloud, "PATIENCE", 20.0)
    seen = []
    fit(two_disks / "here", callback=seen.append, **HERE)
    assert seen == []
    assert mirrored(bucket) == on_disk(run)
    assert len(mirrored(bucket)) == 6 + 2 * EPOCHS


def test_a_checkpoint_that_cannot_be_fetched_is_no_new_run(bucket, two_disks):
    interrupted(two_disks / "here", 3)
    before = mirrored(bucket)
    for what in (403, 404):
        bucket.fail(what, ALWAYS, path="checkpoint.*alt=media")
        with pytest.raises(google_cloud.BucketError, match=re.escape(f"{RUN}/checkpoint.pt")):
            fit(two_disks / "there", **HERE)
        bucket.faults.clear()
        assert mirrored(bucket) == before
        assert not (two_disks / "there/run").exists()
