"""The notebooks as papermill batches, with data and results in buckets, and on two processes."""

import math
import shutil

import papermill
import pytest
from cases import vowel, write
from tiny import write_data
from workspace import copy_workbook

from ddpmlib.run import read_metrics
from ddpmlib.spectrogram import SpectrogramParams

SHORT = {"epochs": 2, "batch_size": 4, "num_samples": 1, "sample_every": 1, "device": "cpu"}


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # several threads stall each other on a busy machine
    return copy_workbook(tmp_path)


def execute(workbook, notebook, **parameters) -> str:
    """Run a notebook; returns all that it printed."""
    executed = papermill.execute_notebook(
        workbook / "notebooks" / f"{notebook}.ipynb",
        workbook / "executed.ipynb",
        parameters=parameters,
        kernel_name="python3",
        cwd=workbook / "notebooks",
        progress_bar=False,
    )
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


def data_in(bucket, folder) -> None:
    path = write_data(folder, params=SpectrogramParams())
    for file in (path, path.with_suffix(".json")):
        bucket.write(f"voices/{file.name}", file.read_bytes())
        file.unlink()


def test_03_trains_from_and_into_buckets_and_resumes_on_an_empty_disk(bucket, workbook):
    data_in(bucket, workbook)
    buckets = {"dataset": "voices/tiny.npy", "bucket_name": "corpora", "result_bucket": "corpora"}
    said = execute(workbook, "03_train_ddpm", **SHORT, **buckets, name="far")
    assert "Kept its promise" in said
    names = [name.removeprefix("far/") for name in bucket.names() if name.startswith("far/")]
    assert {"checkpoint.pt", "config.json", "metrics.csv", "model.safetensors"} <= set(names)
    samples = [f"samples/epoch_000{i}_0.{kind}" for i in (1, 2) for kind in ("png", "wav")]
    assert set(samples) <= set(names)
    shutil.rmtree(workbook / "data" / "runs")
    shutil.rmtree(workbook / "data" / "cache")
    said = execute(workbook, "03_train_ddpm", **SHORT | {"epochs": 3}, **buckets, name="far")
    assert "3 epochs, 12 steps" in said
    assert [row["epoch"] for row in read_metrics(workbook / "data" / "runs" / "far")] == [1, 2, 3]
    assert (workbook / "data" / "runs" / "far" / samples[0]).exists()
    assert bucket.read("far/metrics.csv").count(b"\n") == 4


def test_a_refusal_after_the_training_is_one_sentence_and_loses_nothing(bucket, workbook):
    """The bucket takes no checkpoint at the end of 03; with the right given back, all arrives."""
    data_in(bucket, workbook)
    buckets = {"dataset": "voices/tiny.npy", "bucket_name": "corpora", "result_bucket": "corpora"}
    bucket.fail(403, times=math.inf, method="POST", path="checkpoint")
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        execute(workbook, "03_train_ddpm", **SHORT, **buckets, name="far")
    assert "gs://corpora/far/checkpoint.pt: permission denied (403)" in caught.value.evalue
    assert "the run is kept in" in caught.value.evalue
    assert "\n" not in caught.value.evalue
    assert len(read_metrics(workbook / "data" / "runs" / "far")) == 2
    bucket.faults.clear()
    assert "Kept its promise" in execute(workbook, "03_train_ddpm", **SHORT, **buckets, name="far")
    ours = (workbook / "data" / "runs" / "far" / "checkpoint.pt").read_bytes()
    assert bucket.read("far/checkpoint.pt") == ours


def test_02_and_04_read_from_a_bucket_and_02_writes_into_one(bucket, workbook):
    for i in range(12):
        file = write(workbook / "x.wav", vowel(1.5, hz=100 + 10 * i))
        bucket.write(f"takes/day 1/{i:02}.wav", file.read_bytes())
    said = execute(
        workbook, "02_build_spectrograms", audio_folder="gs://corpora/takes",
        result_bucket="corpora", workers=1, validation_share=0.2,
    )  # fmt: skip
    assert "12 of 12 recordings used" in said
    assert {"takes.npy", "takes.json"} <= set(bucket.names())
    shutil.rmtree(workbook / "data" / "spectrograms")
    buckets = {"dataset": "takes.npy", "bucket_name": "corpora", "result_bucket": "corpora"}
    execute(workbook, "03_train_ddpm", **SHORT | {"num_samples": 0}, **buckets, name="far")
    shutil.rmtree(workbook / "data" / "runs")
    said = execute(workbook, "04_sample_and_listen", run="gs://corpora/far", num_samples=1, steps=4)
    assert "1 wav and png files in" in said
    assert (workbook / "data" / "runs" / "far" / "gibberish" / "sample_0.wav").exists()


def test_03_trains_on_two_processes(workbook):
    """With the plot and the cost of one process in the same kernel before."""
    folder = workbook / "data" / "spectrograms"
    folder.mkdir()
    write_data(folder, params=SpectrogramParams())
    same = SHORT | {"dataset": "tiny.npy"}
    for name, num_processes in (("one", 1), ("two", 2)):
        said = execute(workbook, "03_train_ddpm", **same, name=name, num_processes=num_processes)
        assert "Kept its promise" in said
    one, two = (read_metrics(workbook / "data" / "runs" / name) for name in ("one", "two"))
    assert [r["train_loss"] for r in two] == pytest.approx([r["train_loss"] for r in one], rel=0.05)
    assert "step 8, loss" in said, "lines of the first process reach the notebook"
