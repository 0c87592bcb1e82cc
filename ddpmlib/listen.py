"""Looking and listening in a notebook: pictures in seconds and Hz, players, curves.

What answers to clicks lies in `browser`, `dashboard`, `studio` and `booth`.
"""

import html
from collections.abc import Sequence

import numpy as np

from ddpmlib.cards import COLORS, gain, mel_ticks, player
from ddpmlib.measures import Estimate
from ddpmlib.spectrogram import SpectrogramParams

VIEWS_SPAN = (0.075, 0.985)  # where in the width of `waveform_stft_mel` its seconds begin and end


def show_picture(ax, picture: np.ndarray, params: SpectrogramParams, title: str = "") -> None:
    """Draw (n_mels, frames) or (1, n_mels, frames) in [-1, 1]; axes in seconds and Hz."""
    picture = np.asarray(picture, np.float32).reshape(np.shape(picture)[-2:])
    seconds = picture.shape[1] * params.hop_length / params.sample_rate
    ax.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap=COLORS,
        vmin=-1,
        vmax=1,
        extent=(0, seconds, 0, params.n_mels),
        interpolation="nearest",  # every cell as it is; and noise makes a PNG a third as large
    )
    ax.set_yticks(*mel_ticks(params))
    ax.set(xlabel="seconds", ylabel="Hz")
    ax.set_title(title, parse_math=False)  # names of files may hold dollars


def picture_wall(pictures, params: SpectrogramParams, titles=(), columns: int = 4):
    """A figure of many pictures (n, 1, n_mels, n_frames), labelled once a row and column."""
    import matplotlib.pyplot as plt

    rows = max(1, -(-len(pictures) // columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 2.1 * rows + 0.3), squeeze=False, layout="tight"
    )
    titles = [*titles, *[""] * (len(pictures) - len(titles))]
    for ax in axes.flat[len(pictures) :]:
        ax.axis("off")
    for ax, picture, title in zip(axes.flat, pictures, titles, strict=False):
        show_picture(ax, picture, params, title)
        ax.label_outer()
    return figure


def waveform_stft_mel(samples: np.ndarray, params: SpectrogramParams, title: str = ""):
    """A figure of three views of one sound over the same seconds: waveform, linear STFT, and the
    picture on the grid."""
    import librosa
    from matplotlib.figure import Figure

    from ddpmlib.mel import window_gain
    from ddpmlib.spectrogram import audio_to_image

    figure = Figure(figsize=(10, 5))
    wave, stft, mel = figure.subplots(3, 1, sharex=True)
    figure.subplots_adjust(*VIEWS_SPAN[:1], 0.09, *VIEWS_SPAN[1:], 0.95, hspace=0.3)
    wave.plot(np.arange(len(samples)) / params.sample_rate, samples, linewidth=0.4)
    wave.set(ylabel="amplitude")
    wave.set_title(f"{title}: waveform", parse_math=False)
    magnitude = np.abs(librosa.stft(samples, n_fft=params.n_fft, hop_length=params.hop_length))
    db = 20 * np.log10(np.maximum(magnitude / window_gain(params), 1e-10))
    extent = (0, len(samples) / params.sample_rate, 0, params.sample_rate / 2)
    looks = {"origin": "lower", "aspect": "auto", "cmap": COLORS, "vmin": -90, "vmax": -10}
    stft.imshow(db, extent=extent, **looks)
    stft.set(ylabel="Hz", title=f"STFT, {magnitude.shape[0]} bins")
    show_picture(mel, audio_to_image(samples, params), params, f"mel, {params.n_mels} bands")
    mel.set_xlim(0, len(samples) / params.sample_rate)
    return figure


def players(sounds: dict[str, np.ndarray], sample_rate: int):
    """A table of labelled players, all under one gain, so that loudness can be compared.

    Plain HTML: it also plays in an executed notebook, a printed page and nbviewer.

    Args:
        sounds: label -> (n,) samples at `sample_rate` Hz.
    """
    from IPython.display import HTML

    level = gain(sounds.values())
    rows = [
        (html.escape(label), player(label, samples * level, sample_rate))
        for label, samples in sounds.items()
    ]
    return HTML(_table(rows))


def judge_table(
    rows: list[dict], columns: dict[str, str], sounds: dict[str, np.ndarray], sample_rate: int
):
    """A table of what the judges say: a row a kind of sound, its intervals, and a player.

    Args:
        rows: of `ddpmlib.answer`: "row" is the name, measures are [value, low, high]. One that
            is missing stays empty.
        columns: measure -> heading.
        sounds: name of a row -> (n,) samples at `sample_rate` Hz, all under one gain.
    """
    from IPython.display import HTML

    level = gain(sounds.values())
    lines = [("", *(f"<b>{html.escape(title)}</b>" for title in (*columns.values(), "listen")))]
    for row in rows:
        name = row["row"]
        cells = [html.escape(name), *(_interval(row.get(measure)) for measure in columns)]
        cells.append(player(name, sounds[name] * level, sample_rate) if name in sounds else "")
        lines.append(cells)
    return HTML(_table(lines))


def _table(rows: list[Sequence[str]]) -> str:
    rows = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _interval(measure: list[float] | None) -> str:
    if measure is None:
        return ""
    value, low, _ = measure
    if low is None:
        return f"{value:.3g}"
    value, *rest = str(Estimate(*measure)).partition(" ")
    return f'{value}<br><small style="white-space: nowrap">{rest[1]}</small>'


def curve(ax, rows: list[dict], x: str, measure: str, label: str = "") -> None:
    """Draw a measure of rows of `ddpmlib.answer` over another value of theirs, with intervals
    where they were kept.

    The axis of that value is logarithmic and marks those of the rows.
    """
    value, low, high = np.array([row[measure] for row in rows], float).T  # None becomes nan
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
        values = [np.nan if row[name] is None else row[name] for row in rows]
        ax.plot(minutes, values, style, marker=".", label=name.replace("_", " "))
    ax.set(xlabel="minutes of training", ylabel="loss", yscale="log")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return figure
