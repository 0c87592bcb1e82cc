"""Quality for time: validation loss and speech after the same minutes of training."""

import tempfile

import numpy as np
from networks import Diffusers, of_the_same_size
from report import Row

from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet, build, open_splits
from ddpmlib.judge import hear
from ddpmlib.original import RECIPE, OriginalConfig
from ddpmlib.run import read_metrics
from ddpmlib.spectrogram import image_to_audio
from ddpmlib.storage import data_folder
from ddpmlib.training import train
from ddpmlib.unet import UNetConfig

MINUTES, DATASET, SAMPLES, LOOKS = (5, 10, 20), "sample_corpus.npy", 8, 25
NEVER = 10**6


def measure() -> list[Row]:
    """Each trains once for each number of minutes, so that each run is planned for its length.

    All but the original have our recipe: target, schedule, rate, average. The original has its own,
    with fused attention: without, it would make a step or two in five minutes.
    """
    others, missing = of_the_same_size()
    contenders = {
        "ours": (UNetConfig(), {}),
        "the original's network and recipe": (OriginalConfig(), RECIPE),
        "diffusers, as usual for audio": (Diffusers(), {"batch_size": 4}),
    }
    contenders |= {name: (network, {}) for name, network in others.items()}
    if not (data_folder() / "spectrograms" / DATASET).exists():
        build("sample_corpus", DATASET.removesuffix(".npy"))
    data, held_out = open_splits(DATASET)
    rows = []
    for minutes in MINUTES:
        for name, (network, recipe) in contenders.items():
            loss, share, steps = trained(network, recipe, minutes, data, held_out)
            note = f"validation loss {loss:.3f} ({recipe.get('target', 'v')}), {steps} steps"
            rows.append(Row(f"{name}, {minutes} minutes", share, "share of speech", note=note))
    return rows + ([Row("quality for time of another library", note=missing)] if missing else [])


def trained(
    network, recipe: dict, minutes: float, data: SpectrogramSet, held_out: SpectrogramSet
) -> tuple[float, float, int]:
    """Validation loss, share of frames with speech, and steps of one training."""
    limit = {"epochs": NEVER, "max_minutes": minutes, "num_samples": 0, "sample_every": NEVER}
    config = TrainConfig(device="cpu", **limit | recipe)
    with tempfile.TemporaryDirectory() as folder:
        model = train(config, data, held_out, folder, network)
        last = read_metrics(folder)[-1]
    pictures = model.sample(SAMPLES, "dpmpp_2m", LOOKS, seed=1)
    clips = [image_to_audio(picture, data.params) for picture in pictures]
    share = np.mean([heard.speech_share for heard in hear(clips, data.params.sample_rate)])
    return last["validation_loss"], float(share), last["step"]
