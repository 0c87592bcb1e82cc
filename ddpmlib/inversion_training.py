"""Training of the learned mel-to-linear step: `python -m ddpmlib.learned_inversion --help`."""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib.devices import autocast, pick_device
from ddpmlib.learned_inversion import LearnedInversion
from ddpmlib.mel import mel_filters, window_gain
from ddpmlib.recordings import load_recordings
from ddpmlib.spectrogram import SpectrogramParams, decode, encode
from ddpmlib.storage import data_folder, make_folder

FRAMES = 96  # of a training example
BATCH = 32
LEARNING_RATE = 1e-3
WARMUP = 200  # steps
POWER = 0.3  # that compresses magnitudes for the loss, somewhat as ears do
SMALL = 1e-6  # magnitude; the slope of a power is endless at 0
GAINS = (-10.0, 6.0)  # dB: pictures are not all as loud as recordings made equal
NOISE_DB = 4.0  # at most added to the input: generated pictures are rougher than real ones
SHORTEST = 10.0  # seconds
HEARTBEAT = 60.0  # seconds between lines


def train_inversion(
    datasets: Sequence[str], minutes: float, path: str | Path, device: str = "auto", seed: int = 0
) -> LearnedInversion:
    """Learn linear spectrograms from pictures, on the recordings behind prepared data sets.

    Only the training split is heard. Prints the loss once a minute, and at the end that of the
    validation split; the weights appear at `path` when it is done.

    Args:
        datasets: names in `data/spectrograms/`, all on one grid. Several voices make it fit for
            voices that it never heard.
        minutes: of training.

    Raises:
        FileNotFoundError: a data set, or the folder of recordings that it was made from.
        OSError: nothing can be written at `path`.
        ValueError: they differ in their grid, or hold less than SHORTEST seconds of sound.
    """
    make_folder(Path(path).parent)
    train, held_out, params = load_recordings(datasets, seed)
    if (seconds := len(train) / params.sample_rate) < SHORTEST:
        raise ValueError(f"{seconds:.1f} s of sound to train on; needed: at least {SHORTEST:.0f} s")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = LearnedInversion(params).to(pick_device(device))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    started, step, printed, losses = time.monotonic(), 0, 0.0, []
    while (elapsed := time.monotonic() - started) < 60 * minutes:
        share = elapsed / 60 / minutes
        for group in optimizer.param_groups:
            fall = 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / WARMUP) * fall
        loss = loss_on(network, examples(train, params, rng))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        losses = [*losses[-99:], loss.item()]
        if elapsed - printed > HEARTBEAT:
            printed = elapsed
            print(f"{elapsed / 60:5.1f} min, step {step}, loss {np.mean(losses):.5f}", flush=True)
    network.cpu().eval()
    result = {"datasets": list(datasets), "minutes": minutes, "steps": step}
    if len(held_out):
        with torch.inference_mode():
            batches = [examples(held_out, params, rng) for _ in range(10)]
            result["validation_loss"] = float(
                np.mean([loss_on(network, batch) for batch in batches])
            )
    print(result, flush=True)
    network.save(path, **result)
    return network


def examples(sound: np.ndarray, params: SpectrogramParams, rng) -> list[torch.Tensor]:
    """Pictures with some noise on them, their mel power, and the magnitudes to be found.

    Cut at random places, at random levels: (batch, n_mels or n_fft / 2 + 1, frames) each.
    """
    length = params.n_fft + (FRAMES - 1) * params.hop_length
    places = rng.integers(max(1, len(sound) - length), size=BATCH)
    gains = 10 ** (rng.uniform(*GAINS, (BATCH, 1)) / 20)
    cut = gains * np.stack([np.resize(sound[place : place + length], length) for place in places])
    spectrum = torch.stft(
        torch.from_numpy(cut.astype(np.float32)),
        params.n_fft,
        params.hop_length,
        window=torch.hann_window(params.n_fft),
        center=False,
        return_complex=True,
    )
    magnitude = spectrum.abs().numpy() / window_gain(params)
    pictures = encode(mel_filters(params) @ magnitude**2, params)
    rough = 2 / params.top_db * NOISE_DB * rng.random((BATCH, 1, 1), np.float32) ** 2
    pictures = pictures + rough * rng.standard_normal(pictures.shape, np.float32)
    arrays = pictures.clip(-1, 1), decode(pictures, params), magnitude
    return [torch.from_numpy(array.astype(np.float32)) for array in arrays]


def loss_on(network: LearnedInversion, batch: list[torch.Tensor]) -> torch.Tensor:
    """L1 distance of compressed magnitudes."""
    pictures, mel, magnitude = (part.to(network.head.weight.device) for part in batch)
    with autocast(pictures.device):
        found = network(pictures, mel)
    return ((found + SMALL) ** POWER - (magnitude + SMALL) ** POWER).abs().mean()


def main(argv: list[str] | None = None) -> None:
    """The command `python -m ddpmlib.learned_inversion`."""
    parser = argparse.ArgumentParser(prog="python -m ddpmlib.learned_inversion")
    parser.add_argument("datasets", nargs="+", help="names in data/spectrograms/, as NAME.npy")
    parser.add_argument("--minutes", type=float, default=20.0, help="default: %(default)s")
    parser.add_argument("--name", default="inversion", help="NAME.safetensors in data/pretrained/")
    args = parser.parse_args(argv)
    try:
        path = data_folder() / "pretrained" / f"{args.name}.safetensors"
        train_inversion(args.datasets, args.minutes, path)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
