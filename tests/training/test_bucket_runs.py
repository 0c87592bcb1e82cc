"""Training mirrored in a bucket: resumed elsewhere, and whole on both sides whatever happens."""

import warnings

import pytest
from cases import leftovers, one_sentence
from tiny import NETWORK, STEPS, assert_same_run, fit, tiny_config, write_data
from transfers import (
    HERE,
    OFTEN,
    RUN,
    interrupted,
    mirrored,
    on_disk,
    step_of,
)

from ddpmlib.data.dataset import GCPSpectrogramSet, SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.training.loop import train


def test_all_of_a_run_is_in_the_bucket(bucket, two_disks):
    fit(two_disks / "here", **HERE)
    there = mirrored(bucket)
    assert there == on_disk(two_disks / "here/run")
    samples = {f"samples/epoch_{e:04}_0{end}" for e in (1, 2, 3) for end in (".png", ".wav")}
    files = {f"{name}.safetensors" for name in ("model", "guide")}
    files |= {"config.json", "metrics.csv", "checkpoint.pt", "before_decay.pt"}
    assert set(there) == samples | files
    assert bucket.sent[-1] == "my run/checkpoint.pt"
    assert DDPM.load(RUN).noise_steps == DDPM.load(f"{RUN}/model.safetensors").noise_steps == 20


def test_the_log_for_tensorboard_is_there_to_its_end(bucket, two_disks):
    pytest.importorskip("tensorboard")
    fit(two_disks / "here", **HERE)
    assert mirrored(bucket, but=()) == on_disk(two_disks / "here/run", but=())


@pytest.mark.parametrize("step", [2, STEPS, STEPS + 3])
def test_a_run_goes_on_from_the_bucket_on_an_empty_disk(step, bucket, two_disks, mirrored_run):
    interrupted(two_disks / "here", step, **OFTEN)
    fit(two_disks / "there", **HERE | OFTEN)
    fit(two_disks / "there", **HERE)  # changes nothing but config.json
    there = two_disks / "there/run"
    assert mirrored(bucket) == on_disk(there)
    assert on_disk(there).keys() == on_disk(mirrored_run).keys()
    assert leftovers(there) == []


def test_a_run_resumed_from_the_bucket_equals_an_uninterrupted_one(two_disks, mirrored_run):
    interrupted(two_disks / "here", STEPS + 1, checkpoint_minutes=4.0)
    fit(two_disks / "there", **HERE)
    assert_same_run(two_disks / "there/run", mirrored_run)


@pytest.mark.parametrize("ahead", ["here", "bucket"])
def test_what_is_further_wins(ahead, bucket, two_disks, mirrored_run):
    steps = {"here": (9, 3), "bucket": (3, 9)}[ahead]
    interrupted(two_disks / "here", steps[0])
    local = on_disk(two_disks / "here/run")
    for name in bucket.names():
        bucket.delete(name)
    interrupted(two_disks / "there", steps[1])
    assert on_disk(two_disks / "here/run") == local
    seen = []
    fit(two_disks / "here", callback=lambda progress: seen.append(progress.step), **HERE)
    assert seen == [10, 11, 12]
    assert_same_run(two_disks / "here/run", mirrored_run)
    assert mirrored(bucket) == on_disk(two_disks / "here/run")


@pytest.mark.parametrize(("here", "there"), [({}, {"seed": 5}), ({"seed": 5}, {})])
def test_other_settings_are_refused_before_anything_is_overwritten(here, there, bucket, two_disks):
    fit(two_disks / "here", epochs=1, **HERE | here | {"result_bucket": ""})
    fit(two_disks / "there", epochs=2, **HERE | there)
    before = on_disk(two_disks / "here/run", but=()), mirrored(bucket, but=())
    with pytest.raises(ValueError, match="seed is 0 but 5 in ") as caught:
        fit(two_disks / "here", **HERE)
    assert one_sentence(caught.value, f"{RUN if there else two_disks / 'here/run'}/checkpoint.pt")
    assert before == (on_disk(two_disks / "here/run", but=()), mirrored(bucket, but=()))


def test_a_used_folder_of_a_bucket_is_refused_without_resume(bucket, two_disks):
    fit(two_disks / "here", epochs=1, **HERE)
    before = mirrored(bucket)
    with pytest.raises(FileExistsError, match=f"{RUN} holds a run; set resume"):
        fit(two_disks / "there", resume=False, **HERE)
    assert mirrored(bucket) == before
    assert not (two_disks / "there/run").exists()


def test_a_damaged_checkpoint_in_the_bucket_is_named_as_it_lies_there(bucket, two_disks):
    bucket.write("my run/checkpoint.pt", b"damaged")
    with pytest.raises(ValueError, match=f"{RUN}/checkpoint.pt is damaged"):
        fit(two_disks / "here", **HERE)


def test_a_run_folder_may_be_in_a_bucket(bucket, two_disks):
    path = write_data(two_disks)
    sets = SpectrogramSet(path), SpectrogramSet(path, "validation")
    config = tiny_config(num_samples=1, epochs=1)
    train(config, *sets, "gs://corpora/deep/run-7/", NETWORK)
    assert mirrored(bucket, "deep/run-7") == on_disk(two_disks / "data/runs/corpora/deep/run-7")
    (two_disks / "data/runs/corpora/deep/run-7").rename(two_disks / "lost")
    train(tiny_config(num_samples=1, epochs=2), *sets, "gs://corpora/deep/run-7", NETWORK)
    assert step_of(two_disks / "data/runs/corpora/deep/run-7/checkpoint.pt") == 2 * STEPS
    assert mirrored(bucket, "deep/run-7") == on_disk(two_disks / "data/runs/corpora/deep/run-7")


@pytest.mark.parametrize("prefix", ["", "gs://"])
def test_data_and_results_in_buckets(prefix, bucket, two_disks):
    path = write_data(two_disks / "there")
    for file in (path, path.with_suffix(".json")):
        bucket.write(file.name, file.read_bytes())
    place = "tiny.npy", f"{prefix}corpora"
    sets = GCPSpectrogramSet(*place), GCPSpectrogramSet(*place, split="validation")
    where = {"bucket_name": place[1], "result_bucket": place[1], "name": "my run"}
    with warnings.catch_warnings(action="error", category=UserWarning):
        train(tiny_config(**where, epochs=1), *sets, two_disks / "data/runs/my run", NETWORK)
    assert mirrored(bucket) == on_disk(two_disks / "data/runs/my run")
    assert sorted(bucket.fetched) == ["tiny.json", "tiny.npy"]
    fit(two_disks / "there", **where, epochs=2, num_samples=2)  # the same data, on a disk
    assert step_of(two_disks / "there/run/checkpoint.pt") == 2 * STEPS
