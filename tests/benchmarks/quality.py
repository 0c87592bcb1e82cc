"""Quality for time: validation loss and speech after the same minutes of training.

Minutes of a machine that runs nothing else: steps are timed in turns first, and each training goes
by a clock that counts its steps. So they run side by side, and what else runs changes nothing.
"""

import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import numpy as np
from networks import Diffusers, of_the_same_size
from report import Row
from timing import ONE_THREAD, environment, take_turns
from training import step

from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import open_splits
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.metrics.speech import score_clips
from ddpmlib.models.baseline import RECIPE, BaselineConfig
from ddpmlib.models.unet import UNetConfig
from ddpmlib.storage.paths import data_folder
from ddpmlib.training import loop
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.run_directory import read_metrics
from ddpmlib.vocoder.waveform import image_to_audio

MINUTES, ROUNDS, DATASET, SAMPLES, NUM_STEPS = (5, 10, 20), 3, "sample_corpus.npy", 4, 15
NEVER = 10**6


def measure() -> list[Row]:
    """Each is trained for the first minutes, then on to the next, as a user would raise
    max_minutes.

    All but the baseline have our recipe: prediction type, schedule, rate, average. The baseline has
    its own, with fused attention: without, it would make a step or two in five minutes.
    """
    others, missing = of_the_same_size()
    contenders = {  # the slowest first, so that no core is left with it at the end
        "the baseline network and recipe": (BaselineConfig(), RECIPE),
        "diffusers, as usual for audio": (Diffusers(), {"batch_size": 4}),
    }
    contenders |= {name: (network, {}) for name, network in others.items()}
    contenders["ours"] = (UNetConfig(), {})
    if not (data_folder() / "spectrograms" / DATASET).exists():
        build_dataset("sample_corpus", DATASET.removesuffix(".npy"))
    turns = take_turns(
        {
            name: (step, network, recipe.get("batch_size", TrainConfig.batch_size))
            for name, (network, recipe) in contenders.items()
        },
        ROUNDS,
    )
    fresh = multiprocessing.get_context("spawn")
    with environment(ONE_THREAD), ProcessPoolExecutor(os.cpu_count(), fresh) as pool:
        jobs = [
            pool.submit(trained, name, *contender, turns[name].median)
            for name, contender in contenders.items()
        ]
        rows = [row for job in jobs for row in job.result()]
    return rows + ([Row("quality for time of another library", note=missing)] if missing else [])


def trained(name: str, network, recipe: dict, seconds: float) -> list[Row]:
    """A row for each of MINUTES; a step takes `seconds` by the clock of this training."""
    data, held_out = open_splits(DATASET)
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        # Called after a step, before it is counted.
        mock.patch.object(loop._Loop, "elapsed", lambda loop: (loop.state.step + 1) * seconds),
    ):
        for minutes in MINUTES:
            limit = {"max_minutes": float(minutes), "epochs": NEVER, "sample_every": NEVER}
            config = TrainConfig(device="cpu", num_samples=0, **limit | recipe)
            model = loop.train(config, data, held_out, folder, network)
            last, (share, dnsmos) = read_metrics(folder)[-1], evaluated(model)
            note = f"validation loss {last['validation_loss']:.3f} "
            note += f"({config.prediction_type}), DNSMOS "
            note += f"{dnsmos:.2f}, {last['step']:.0f} steps of {config.batch_size}"
            label = f"{name}, {minutes} minutes"
            rows.append(Row(label, share, "of the frames are speech", note=note))
    return rows


def evaluated(model: DDPM) -> tuple[float, float]:
    """Share of frames with speech, and DNSMOS, of a few samples."""
    mels = model.sample(SAMPLES, "dpmpp_2m", NUM_STEPS, seed=1)
    clips = [image_to_audio(mel, model.params) for mel in mels]
    scores = score_clips(clips, model.params.sample_rate)
    names = ("speech_share", "dnsmos")
    return tuple(float(np.mean([getattr(each, name) for each in scores])) for name in names)
