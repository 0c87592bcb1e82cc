"""Plots: mel-spectrograms with axes in seconds and Hz, three views of a sound, curves."""

from collections.abc import Sequence

import numpy as np

from ddpmlib.interface.players import COLORS, mel_ticks
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.alignment import Alignment

VIEWS_SPAN = (0.075, 0.985)  # where in the width of `waveform_stft_mel` its seconds begin and end
_IMAGE = {"origin": "lower", "aspect": "auto", "cmap": COLORS}


def show_mel(ax, mel: np.ndarray, params: SpectrogramParams, title: str = "") -> None:
    """Draw (n_mels, n_frames) or (1, n_mels, n_frames) in [-1, 1]; axes in seconds and Hz."""
    mel = np.asarray(mel, np.float32).reshape(np.shape(mel)[-2:])
    seconds = mel.shape[1] * params.hop_length / params.sample_rate
    extent = (0, seconds, 0, params.n_mels)
    # Nearest: every cell as it is; and noise makes a PNG a third as large.
    ax.imshow(mel, vmin=-1, vmax=1, extent=extent, interpolation="nearest", **_IMAGE)
    ax.set_yticks(*mel_ticks(params))
    ax.set(xlabel="seconds", ylabel="Hz")
    ax.set_title(title, parse_math=False)  # names of files may hold dollars


def show_alignment(
    ax, mel: np.ndarray, params: SpectrogramParams, alignment: Alignment, title: str = ""
) -> None:
    """Draw a mel-spectrogram as `show_mel` does, with words and phones over it."""
    from matplotlib.patheffects import withStroke

    show_mel(ax, mel, params, title)
    style = {"color": "white", "horizontalalignment": "center", "parse_math": False}
    style["path_effects"] = [withStroke(linewidth=1.5, foreground="black")]
    for i, phone in enumerate(alignment.phones):
        ax.axvline(phone.end, color="white", linewidth=0.4)
        height = (0.8, 0.73)[i % 2] * params.n_mels  # in turn: short ones have room for their names
        ax.text((phone.start + phone.end) / 2, height, phone.name, fontsize=7, **style)
    for word in alignment.words:
        ax.axvline(word.start, 0.86, color="white", linewidth=1.5)
        middle = (word.start + word.end) / 2
        ax.text(middle, 0.9 * params.n_mels, word.name, fontsize=9, **style)


def mel_grid(mels, params: SpectrogramParams, titles=(), columns: int = 4):
    """A figure of mel-spectrograms (n, 1, n_mels, n_frames), labelled once a row and column."""
    import matplotlib.pyplot as plt

    rows = max(1, -(-len(mels) // columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 2.1 * rows + 0.3), squeeze=False, layout="tight"
    )
    titles = [*titles, *[""] * (len(mels) - len(titles))]
    for ax in axes.flat[len(mels) :]:
        ax.axis("off")
    for ax, mel, title in zip(axes.flat, mels, titles, strict=False):
        show_mel(ax, mel, params, title)
        ax.label_outer()
    return figure


def waveform_stft_mel(samples: np.ndarray, params: SpectrogramParams, title: str = ""):
    """A figure of a sound (n,): waveform, linear STFT and mel-spectrogram over one time axis."""
    import librosa
    from matplotlib.figure import Figure

    from ddpmlib.spectrogram.mel import audio_to_image, window_gain

    figure, seconds = Figure(figsize=(10, 5)), len(samples) / params.sample_rate
    wave, stft, mel = figure.subplots(3, 1, sharex=True)
    left, right = VIEWS_SPAN
    figure.subplots_adjust(left, 0.09, right, 0.95, hspace=0.3)
    wave.plot(np.arange(len(samples)) / params.sample_rate, samples, linewidth=0.4)
    wave.set(ylabel="amplitude")
    wave.set_title(f"{title}: waveform", parse_math=False)
    magnitude = np.abs(librosa.stft(samples, n_fft=params.n_fft, hop_length=params.hop_length))
    db = 20 * np.log10(np.maximum(magnitude / window_gain(params), 1e-10))
    extent = (0, seconds, 0, params.sample_rate / 2)
    stft.imshow(db, vmin=-90, vmax=-10, extent=extent, **_IMAGE)
    stft.set(ylabel="Hz", title=f"STFT, {magnitude.shape[0]} bins")
    show_mel(mel, audio_to_image(samples, params), params, f"mel, {params.n_mels} bands")
    mel.set_xlim(0, seconds)
    return figure


def curve(ax, rows: list[dict], x: str, metric: str, label: str = "") -> None:
    """Draw a metric over another value of `rows` (of `experiments.results`), with intervals where
    there are some.

    The axis of that value is logarithmic and marks those of the rows.
    """
    value, low, high = np.array([row[metric] for row in rows], float).T  # None becomes nan
    at = [row[x] for row in rows]
    ax.errorbar(at, value, [value - low, high - value], marker="o", capsize=3, label=label)
    ax.set_xscale("log")
    ax.set_xticks(at, [f"{tick:.4g}" for tick in at])
    ax.minorticks_off()
    ax.grid(alpha=0.3)


def loss_curves(rows: list[dict], steps: Sequence[tuple[float, float]] = ()):
    """A figure of training and validation loss over minutes.

    Args:
        rows: of metrics.csv.
        steps: minutes and smoothed loss of single steps.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="tight")
    ax = figure.subplots()
    if len(steps):
        ax.plot(*np.transpose(steps), color="tab:gray", linewidth=0.8, label="steps, smoothed")
    minutes = [row["minutes"] for row in rows]
    for name, style in (("train_loss", "-"), ("validation_loss", "--")):
        values = np.array([row[name] for row in rows], float)  # None becomes nan
        ax.plot(minutes, values, style, marker=".", label=name.replace("_", " "))
    ax.set(xlabel="minutes of training", ylabel="loss", yscale="log")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return figure
