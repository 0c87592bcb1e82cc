"""Training of the vocoder's learned mel-to-linear step: `python -m ddpmlib vocoder --help`."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ddpmlib.data.recordings import load_recordings
from ddpmlib.models.devices import autocast, pick_device
from ddpmlib.spectrogram.codec import decode, encode
from ddpmlib.spectrogram.mel import mel_filters, window_gain
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import make_folder
from ddpmlib.vocoder.mel_to_linear import MelToLinear

FRAMES = 96  # of a training example
BATCH = 32
LEARNING_RATE = 1e-3
WARMUP = 200  # steps
POWER = 0.3  # that compresses magnitudes for the loss, somewhat as ears do
SMALL = 1e-6  # magnitude; the slope of a power is endless at 0
GAINS = (-10.0, 6.0)  # dB: mel-spectrograms are not all as loud as recordings made equal
NOISE_DB = 4.0  # at most added to the input: generated mel-spectrograms are rougher than real ones
SHORTEST = 10.0  # seconds
HEARTBEAT = 60.0  # seconds between lines


def train_mel_to_linear(
    datasets: Sequence[str], minutes: float, path: str | Path, device: str = "auto", seed: int = 0
) -> MelToLinear:
    """Learn linear magnitudes from mel-spectrograms, on the recordings behind prepared data sets.

    Trains on the training split only. Prints the loss once a minute, and at the end that of the
    validation split; the weights appear at `path` when it is done.

    Args:
        datasets: names in `data/spectrograms/`, all of the same spectrogram parameters. Several
            speakers make it fit for speakers that are not among them.
        minutes: of training.

    Raises:
        FileNotFoundError: a data set, or the folder of recordings that it was made from.
        OSError: nothing can be written at `path`.
        ValueError: they differ in their parameters, or hold less than SHORTEST seconds of sound.
    """
    train, held_out, params = load_recordings(datasets, seed)
    if (seconds := len(train) / params.sample_rate) < SHORTEST:
        raise ValueError(f"{seconds:.1f} s of sound to train on; needed: at least {SHORTEST:.0f} s")
    make_folder(Path(path).parent)  # before minutes of training
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = MelToLinear(params).to(pick_device(device))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    started, step, printed, losses = time.monotonic(), 0, 0.0, []
    while (elapsed := time.monotonic() - started) < 60 * minutes:
        fall = 0.02 + 0.98 * (1 + math.cos(math.pi * (elapsed / 60 / minutes))) / 2
        for group in optimizer.param_groups:
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
            losses = [loss_on(network, examples(held_out, params, rng)) for _ in range(10)]
        result["validation_loss"] = float(np.mean(losses))
    print(result, flush=True)
    network.save(path, **result)
    return network


def examples(sound: np.ndarray, params: SpectrogramParams, rng) -> list[torch.Tensor]:
    """BATCH segments from random places, at random levels, as `log_mel`, `mel`, `magnitude`.

    Noisy values in [-1, 1], their mel power (both (BATCH, n_mels, FRAMES)), and the magnitudes
    of the segments without noise (BATCH, n_fft / 2 + 1, FRAMES).
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
    log_mel = encode(mel_filters(params) @ magnitude**2, params)
    rough = 2 / params.top_db * NOISE_DB * rng.random((BATCH, 1, 1), np.float32) ** 2
    log_mel = log_mel + rough * rng.standard_normal(log_mel.shape, np.float32)
    arrays = log_mel.clip(-1, 1), decode(log_mel, params), magnitude
    return [torch.from_numpy(array.astype(np.float32)) for array in arrays]


def loss_on(network: MelToLinear, batch: list[torch.Tensor]) -> torch.Tensor:
    """L1 distance of compressed magnitudes."""
    log_mel, mel, magnitude = (part.to(network.head.weight.device) for part in batch)
    with autocast(log_mel.device):
        estimate = network(log_mel, mel)
    return ((estimate + SMALL) ** POWER - (magnitude + SMALL) ** POWER).abs().mean()
