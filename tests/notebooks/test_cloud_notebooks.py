"""The notebooks with data and results in buckets, and on two processes."""

import math
import shutil
import sys
from pathlib import Path

import pytest
from cases import python, vowel, write
from tiny import write_data
from workspace import copy_workbook, execute, printed, run_here

from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.training.run_directory import read_metrics

PARAMS = SpectrogramParams(n_mels=32, n_frames=64)
SHORT = {"epochs": 2, "batch_size": 4, "num_samples": 1, "sample_every": 1, "device": "cpu"}
SHORT |= {"width": 8, "image_size": list(PARAMS.image_size)}
FAR = {"dataset": "voices/tiny.npy", "bucket_name": "corpora", "result_bucket": "corpora"}
FAR |= {"name": "far"}
KEPT = "Kept its promise: "


@pytest.fixture(scope="module")
def unused(tmp_path_factory):
    return copy_workbook(tmp_path_factory.mktemp("cloud"), recordings=8)


@pytest.fixture
def workbook(unused):
    """Without what the test before left."""
    for name in ("spectrograms", "runs", "cache"):
        shutil.rmtree(unused / "data" / name, ignore_errors=True)
    return unused


@pytest.fixture
def data_there(bucket, tmp_path):
    """A data set in the bucket, and nowhere else."""
    path = write_data(tmp_path, params=PARAMS)
    for file in (path, path.with_suffix(".json")):
        bucket.write(f"voices/{file.name}", file.read_bytes())


@pytest.mark.usefixtures("data_there")
def test_03_trains_from_and_into_buckets_and_resumes_on_an_empty_disk(bucket, workbook, capsys):
    run_here(workbook, "03_train_ddpm", **SHORT, **FAR)
    assert KEPT in capsys.readouterr().out
    names = [name.removeprefix("far/") for name in bucket.names() if name.startswith("far/")]
    assert {"checkpoint.pt", "config.json", "metrics.csv", "model.safetensors"} <= set(names)
    samples = [f"samples/epoch_000{i}_0.{kind}" for i in (1, 2) for kind in ("png", "wav")]
    assert set(samples) <= set(names)
    shutil.rmtree(workbook / "data" / "runs")
    shutil.rmtree(workbook / "data" / "cache")
    run_here(workbook, "03_train_ddpm", **SHORT | {"epochs": 3}, **FAR)
    assert "3 epochs, 12 steps" in capsys.readouterr().out
    assert [row["epoch"] for row in read_metrics(workbook / "data" / "runs" / "far")] == [1, 2, 3]
    assert (workbook / "data" / "runs" / "far" / samples[0]).exists()
    assert bucket.read("far/metrics.csv").count(b"\n") == 4


@pytest.mark.usefixtures("data_there")
def test_a_refusal_after_the_training_is_one_sentence_and_loses_nothing(bucket, workbook, capsys):
    """The bucket takes no checkpoint at the end of 03; with the right given back, all arrives."""
    bucket.fail(403, times=math.inf, method="POST", path="checkpoint")
    with pytest.raises(OSError, match="the run is safe in") as caught:
        run_here(workbook, "03_train_ddpm", **SHORT, **FAR)
    assert "gs://corpora/far/checkpoint.pt: permission denied (403)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(read_metrics(workbook / "data" / "runs" / "far")) == 2
    bucket.faults.clear()
    run_here(workbook, "03_train_ddpm", **SHORT, **FAR)
    assert KEPT in capsys.readouterr().out
    ours = (workbook / "data" / "runs" / "far" / "checkpoint.pt").read_bytes()
    assert bucket.read("far/checkpoint.pt") == ours


def test_02_and_04_read_from_a_bucket_and_02_writes_into_one(bucket, workbook, capsys):
    for i in range(12):
        file = write(workbook / "x.wav", vowel(1.5, hz=100 + 10 * i))
        bucket.write(f"takes/day 1/{i:02}.wav", file.read_bytes())
    size = {"n_mels": PARAMS.n_mels, "n_frames": PARAMS.n_frames, "workers": 1}
    takes = {"audio_folder": "gs://corpora/takes", "result_bucket": "corpora"}
    run_here(workbook, "02_build_spectrograms", **takes, **size, validation_share=0.2)
    assert "12 of 12 recordings used" in capsys.readouterr().out
    assert {"takes.npy", "takes.json"} <= set(bucket.names())
    shutil.rmtree(workbook / "data" / "spectrograms")
    run_here(workbook, "03_train_ddpm", **SHORT, **FAR | {"dataset": "takes.npy"})
    shutil.rmtree(workbook / "data" / "runs")
    few = {"num_samples": 1, "num_steps": 4, "seconds": 2.0}
    run_here(workbook, "04_sample_and_listen", run="gs://corpora/far", **few)
    assert "1 wav and png files in" in capsys.readouterr().out
    assert (workbook / "data" / "runs" / "far" / "gibberish" / "sample_0.wav").exists()


def test_03_trains_on_two_processes(workbook):
    """With the plot and the profile of one process in the same kernel before."""
    folder = workbook / "data" / "spectrograms"
    folder.mkdir()
    write_data(folder, params=PARAMS)
    same = SHORT | {"dataset": "tiny.npy"}
    run_here(workbook, "03_train_ddpm", **same, name="one")
    out = printed(execute(workbook, "03_train_ddpm", **same, name="two", num_processes=2))
    assert KEPT in out
    assert "step 8, loss" in out, "lines of the first process reach the notebook"
    one, two = (read_metrics(workbook / "data" / "runs" / name) for name in ("one", "two"))
    assert [r["train_loss"] for r in two] == pytest.approx([r["train_loss"] for r in one], rel=0.05)


SPY = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
import torch

class Launched(Exception):
    pass

def launch(*_, **__):
    raise Launched(calls)

calls, workbook = [], Path(sys.argv[1])
names = {torch.accelerator: ("current_accelerator", "is_available")}
names[torch.cuda] = ("is_available", "device_count", "init", "_lazy_init")
for module, words in names.items():
    for word in words:
        def spy(*args, real=getattr(module, word), word=word, **options):
            calls.append(word)
            return real(*args, **options)
        setattr(module, word, spy)
import accelerate
accelerate.notebook_launcher = launch
from workspace import run_here
from test_cloud_notebooks import PARAMS, SHORT
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.unet import UNetConfig
DDPM(UNetConfig(width=8).build(), PARAMS).save(workbook / "first.safetensors")
for init_from in ("", str(workbook / "first.safetensors")):
    values = SHORT | {"dataset": "tiny.npy", "num_processes": 2, "device": "auto"}
    try:
        run_here(workbook, "03_train_ddpm", init_from=init_from, **values)
    except Launched as launched:
        print("launched", *launched.args[0])
"""


def test_03_asks_for_no_gpu_before_its_processes_start(workbook):
    """A fork has none that its parent has asked for; in an interpreter that has done nothing."""
    (folder := workbook / "data" / "spectrograms").mkdir()
    write_data(folder, params=PARAMS)
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    done = python(SPY, workbook, *paths)
    assert done.stdout.splitlines()[-1:] == ["launched"], done.stderr[-2000:]
    assert [line for line in done.stdout.splitlines() if "launched" in line] == ["launched"] * 2
