"""Looking and listening in a notebook: pictures in seconds and Hz, players, training as it goes."""

import html
import io
import time
from collections.abc import Sequence

import numpy as np

from ddpmlib.config import Progress
from ddpmlib.measures import Estimate
from ddpmlib.spectrogram import SpectrogramParams, load_png

COLORS = "magma"  # even steps of brightness, also in grey print and for colour-blind eyes
PEAK = 0.9  # of the loudest sample of players that are matched in level
HEARTBEAT = 55.0  # seconds between printed lines; papermill saves only when something is printed
REDRAW = 10.0  # seconds between drawings of the live plot
TICKS = (250, 1000, 2000, 4000, 8000, 16000)  # Hz, far enough apart for a small panel


def show_picture(ax, picture: np.ndarray, params: SpectrogramParams, title: str = "") -> None:
    """Draw (n_mels, frames) or (1, n_mels, frames) in [-1, 1]; axes in seconds and Hz."""
    import librosa

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
    )
    bands = librosa.mel_frequencies(params.n_mels + 2, fmin=params.fmin, fmax=params.fmax)
    ticks = [hz for hz in TICKS if params.fmin < hz <= params.fmax]
    ax.set_yticks(np.interp(ticks, bands[1:-1], np.arange(params.n_mels) + 0.5), ticks)
    ax.set(xlabel="seconds", ylabel="Hz", title=title)


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
    """A figure of three views of one sound: waveform, linear STFT, and the picture on the grid."""
    import librosa
    import matplotlib.pyplot as plt

    from ddpmlib.mel import window_gain
    from ddpmlib.spectrogram import audio_to_image

    figure, (wave, stft, mel) = plt.subplots(1, 3, figsize=(15, 3), layout="tight")
    wave.plot(np.arange(len(samples)) / params.sample_rate, samples, linewidth=0.4)
    wave.set(xlabel="seconds", ylabel="amplitude", title=f"{title}: waveform")
    magnitude = np.abs(librosa.stft(samples, n_fft=params.n_fft, hop_length=params.hop_length))
    db = 20 * np.log10(np.maximum(magnitude / window_gain(params), 1e-10))
    extent = (0, len(samples) / params.sample_rate, 0, params.sample_rate / 2)
    looks = {"origin": "lower", "aspect": "auto", "cmap": COLORS, "vmin": -90, "vmax": -10}
    stft.imshow(db, extent=extent, **looks)
    stft.set(xlabel="seconds", ylabel="Hz", title=f"STFT, {magnitude.shape[0]} bins")
    show_picture(mel, audio_to_image(samples, params), params, f"mel, {params.n_mels} bands")
    return figure


def players(sounds: dict[str, np.ndarray], sample_rate: int):
    """A table of labelled players, all under one gain, so that loudness can be compared.

    Plain HTML: it also plays in an executed notebook, a printed page and nbviewer.

    Args:
        sounds: label -> (n,) samples at `sample_rate` Hz.
    """
    from IPython.display import HTML

    gain = _gain(sounds)
    rows = [
        (html.escape(label), _player(label, samples * gain, sample_rate))
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

    gain = _gain(sounds)
    lines = [("", *(f"<b>{html.escape(title)}</b>" for title in (*columns.values(), "listen")))]
    for row in rows:
        name = row["row"]
        cells = [html.escape(name), *(_interval(row.get(measure)) for measure in columns)]
        cells.append(_player(name, sounds[name] * gain, sample_rate) if name in sounds else "")
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


def _gain(sounds: dict[str, np.ndarray]) -> float:
    peak = max((np.abs(samples).max() for samples in sounds.values()), default=0)
    return PEAK / max(peak, 1e-9)


def _player(label: str, samples: np.ndarray, sample_rate: int) -> str:
    import soundfile
    from IPython.display import Audio

    flac = io.BytesIO()  # half the size of wav, and every browser plays it
    soundfile.write(flac, samples, sample_rate, format="FLAC")
    audio = Audio(data=flac.getvalue())
    audio.mimetype = "audio/flac"
    label = html.escape(label)
    return audio._repr_html_().replace("<audio ", f'<audio aria-label="{label}" ')


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


def loss_curves(rows: list[dict]):
    """A figure of training and validation loss over minutes, from rows of metrics.csv."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 3), layout="tight")
    minutes = [row["minutes"] for row in rows]
    for name, style in (("train_loss", "-"), ("validation_loss", "--")):
        values = [np.nan if row[name] is None else row[name] for row in rows]
        ax.plot(minutes, values, style, marker=".", label=name.replace("_", " "))
    ax.set(xlabel="minutes of training", ylabel="loss", yscale="log")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return figure


class TrainingLines:
    """Callback of `train`: a printed line at least once a minute."""

    def __init__(self):
        self.printed = -np.inf

    def __call__(self, progress: Progress) -> None:
        if progress.share >= 1 or time.monotonic() - self.printed > HEARTBEAT:
            self.printed = time.monotonic()
            print(progress_line(progress), flush=True)


class TrainingView(TrainingLines):
    """Callback of `train`: loss and newest samples too, redrawn as they come."""

    def __init__(self, params: SpectrogramParams, rows: list[dict] = ()):
        super().__init__()
        self.params = params
        self.rows = list(rows)  # epochs of a run that is resumed
        self.handles = {}
        self.drawn = -np.inf

    def __call__(self, progress: Progress) -> None:
        last = progress.share >= 1
        if progress.metrics:
            self.rows.append(progress.metrics)
            if last or time.monotonic() - self.drawn > REDRAW:
                self._show("loss", loss_curves(self.rows))
                self.drawn = time.monotonic()
        if progress.samples:
            pictures = [load_png(path) for path in progress.samples[::2]]
            titles = [f"epoch {progress.epoch}"]
            self._show("samples", picture_wall(pictures, self.params, titles))
        super().__call__(progress)

    def _show(self, name: str, figure) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        if name in self.handles:
            self.handles[name].update(figure)
        else:
            self.handles[name] = display(figure, display_id=True)
        plt.close(figure)


def progress_line(progress: Progress) -> str:
    """One line about a running training."""
    left = progress.minutes * (1 / max(progress.share, 1e-3) - 1)
    return (
        f"{progress.minutes:5.1f} min, about {left:.1f} left; epoch {progress.epoch}, "
        f"step {progress.step}, loss {progress.loss:.4f}"
    )
