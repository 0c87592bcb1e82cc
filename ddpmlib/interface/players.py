"""Players in plain HTML: sounds, and mel-spectrograms with a line that follows the sound.

They need neither kernel nor widgets, so they also play in an executed notebook and its HTML page.
"""

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np

from ddpmlib.audio.cleaning import gain
from ddpmlib.metrics.statistics import Estimate
from ddpmlib.spectrogram.mel import band_edges
from ddpmlib.spectrogram.params import SpectrogramParams

COLORS = "magma"  # even steps of brightness, also in grey print and for colour-blind eyes
TICKS = (250, 1000, 2000, 4000, 8000, 16000)  # Hz, far enough apart for a small panel
SIZE, PLOT = (340, 132), (34, 4, 302, 104)  # of an SVG; x, y, width and height of the mel in it
SPAN = (PLOT[0] / SIZE[0], (PLOT[0] + PLOT[2]) / SIZE[0])  # where its seconds begin and end
COLUMNS = "repeat(auto-fill, minmax(min(23em, 100%), 1fr))"  # of a grid: as many as there is room
WIDTH = "width: 100%; min-width: min(22em, 60vw)"  # of a player: with its time and its seek bar

# JavaScript of the players: of a line over a plot, of one sound at a time, of a click into a plot.
_HEAD = (
    "const head=this.closest('figure').querySelector('i'),move=()=>{head.style.left="
    "100*this.currentTime/this.duration+'%';this.paused||requestAnimationFrame(move)};move();"
)
_ALONE = "document.querySelectorAll('audio').forEach(other=>other===this||other.pause());"
_SEEK = (
    "const audio=this.closest('figure').querySelector('audio');"
    "audio.currentTime=audio.duration*event.offsetX/this.clientWidth;"
)
_SAVE = "this.href=this.closest('figure').querySelector('audio').currentSrc"
# Of a click on a button over a plot: the sound between the two times that are its value. An audio
# element cannot stop within milliseconds, Web Audio can.
PLAY_PART = (
    "const button=event.target.closest('button');if(!button)return;"
    "const [from,to]=button.value.split(' ').map(Number),context=window.parts??=new AudioContext(),"
    f"audio=this.closest('figure').querySelector('audio');{_ALONE}"
    "context.resume();audio.currentTime=from;"
    "this.sound??=context.decodeAudioData(Uint8Array.from(atob(audio.src.split(',')[1]),"
    "letter=>letter.charCodeAt()).buffer);"
    "this.sound.then(sound=>{context.part?.stop();const part=context.createBufferSource();"
    "part.buffer=sound;part.connect(context.destination);part.start(0,from,to-from);"
    "context.part=part});"
)
# Of such buttons: in turn their names stand high and low, so that those of short ones have room.
PARTS = (
    "<style>.part{all:unset;position:absolute;top:14%;bottom:0;display:flex;cursor:pointer;"
    "box-sizing:border-box;justify-content:center;border-left:1px solid #fff9;color:#fff;"
    "font-size:.7em;line-height:1.2;white-space:nowrap;text-shadow:0 0 2px #000,0 0 2px #000}"
    ".part:nth-of-type(even){padding-top:1.2em}.part.word{top:0;bottom:86%;padding:0;"
    "font-size:.95em}.part:hover,.part:focus{background:#fff5}</style>"
)


def mel_ticks(params: SpectrogramParams) -> tuple[np.ndarray, list[int]]:
    """Where in the bands (0 ... n_mels, from below) some frequencies lie, and these in Hz."""
    bands = band_edges(params)
    hertz = [hz for hz in TICKS if params.fmin < hz <= params.fmax]
    return np.interp(hertz, bands[1:-1], np.arange(params.n_mels) + 0.5), hertz


def player(label: str, samples: np.ndarray, sample_rate: int, moving: str = "") -> str:
    """HTML of an audio element with (n,) samples inside; one that plays stops all others.

    Args:
        moving: JavaScript that moves something along with the sound.
    """
    import soundfile

    flac = io.BytesIO()  # half the size of wav, and every browser plays it
    soundfile.write(flac, samples, sample_rate, format="FLAC")
    return (
        f'<audio controls aria-label="{html.escape(label)}" style="{WIDTH}" '
        f'onplay="{_ALONE}{moving}" onseeking="{moving}" '
        f'src="data:audio/flac;base64,{_base64(flac)}"></audio>'
    )


def mel_svg(
    mel: np.ndarray, params: SpectrogramParams, title: str, size: tuple[int, int] = SIZE
) -> str:
    """(n_mels, n_frames) or (1, n_mels, n_frames) in [-1, 1] with axes in seconds and Hz."""
    from matplotlib import colormaps
    from PIL import Image

    mel = np.asarray(mel, np.float32).reshape(np.shape(mel)[-2:])
    image = Image.fromarray(((mel[::-1].clip(-1, 1) + 1) * 127.5).round().astype(np.uint8))
    image.putpalette(colormaps[COLORS](np.arange(256), bytes=True)[:, :3].tobytes())
    png = io.BytesIO()
    image.save(png, "PNG")
    (x, y, width, height), seconds = PLOT, mel.shape[1] * params.hop_length / params.sample_rate
    width, height = width + size[0] - SIZE[0], height + size[1] - SIZE[1]
    labels = [(x + width, size[1] - 3, "end", "seconds"), (1, size[1] - 5, "start", "Hz")]
    for band, hertz in zip(*mel_ticks(params), strict=True):
        labels.append((x - 3, y + height * (1 - band / params.n_mels) + 3, "end", hertz))
    for second in range(0, int(seconds) + 1, 1 if seconds < 8 else 2):
        labels.append((x + width * second / seconds, y + height + 11, "middle", second))
    texts = [
        f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{label}</text>'
        for left, top, anchor, label in labels
    ]
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{html.escape(title)}" '
        'style="width: 100%; display: block" font-size="9" fill="currentColor">'
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_base64(png)}"/>{"".join(texts)}</svg>'
    )


def figure_img(figure, title: str) -> str:
    """HTML of a matplotlib figure."""
    png = io.BytesIO()
    figure.savefig(png, dpi=100)
    source = f"data:image/png;base64,{_base64(png)}"
    return f'<img alt="{html.escape(title)}" src="{source}" width="100%">'


def mel_player(mel: np.ndarray, samples: np.ndarray, params: SpectrogramParams, title: str) -> str:
    """HTML of a mel-spectrogram (1, n_mels, n_frames) and a player of its sound (n,) below."""
    return plot_player(mel_svg(mel, params, title), samples, params.sample_rate, title, SPAN)


def plot_player(
    drawn: str,
    samples: np.ndarray,
    sample_rate: int,
    title: str,
    span: tuple[float, float],
    width: str = "",
) -> str:
    """HTML of a plot, over which a line runs, and its player; a click on the plot seeks.

    Args:
        drawn: HTML of the plot.
        samples: (n,) at `sample_rate` Hz, in [-1, 1].
        span: where in the width of the plot its seconds begin and end, 0...1.
        width: CSS for that of the plot, which is scrolled where there is less room.
    """
    name, over = html.escape(title), "position: absolute; top: 0; bottom: 0"
    seconds = f"{over}; left: {100 * span[0]:.2f}%; width: {100 * (span[1] - span[0]):.2f}%"
    line = f"{over}; left: 0; width: 2px; background: #fff; outline: 1px solid #000"
    return (
        f'<figure style="margin: 0.5em; min-width: 0"><figcaption>{name} '
        f'<a href="#" download="{name}.flac" onclick="{_SAVE}" '
        f'aria-label="download {name}" style="text-decoration: underline">download</a></figcaption>'
        f'<div style="overflow-x: auto"><div style="position: relative; {width}">{drawn}'
        f'<div style="{seconds}; cursor: pointer" onclick="{_SEEK}">'
        f'<i style="{line}; pointer-events: none"></i></div></div></div>'
        f"{player(title, samples, sample_rate, _HEAD)}</figure>"
    )


def mel_players(
    mels: Sequence[np.ndarray],
    sounds: Sequence[np.ndarray],
    params: SpectrogramParams,
    titles: Sequence[str],
):
    """Mel-spectrograms (n, 1, n_mels, n_frames) with players, all sounds under one gain."""
    from IPython.display import HTML

    level = gain(sounds)
    parts = [
        mel_player(mel, level * sound, params, title)
        for mel, sound, title in zip(mels, sounds, titles, strict=True)
    ]
    grid = f"display: grid; grid-template-columns: {COLUMNS}"
    return HTML(f'<div style="{grid}">{"".join(parts)}</div>')


def sound_table(sounds: dict[str, np.ndarray], sample_rate: int):
    """A table of labelled players, all under one gain, so that loudness can be compared.

    Args:
        sounds: label -> (n,) samples at `sample_rate` Hz.
    """
    from IPython.display import HTML

    level = gain(sounds.values())
    return HTML(
        table(
            (html.escape(label), player(label, level * samples, sample_rate))
            for label, samples in sounds.items()
        )
    )


def metrics_table(
    rows: list[dict], columns: dict[str, str], sounds: dict[str, np.ndarray], sample_rate: int
):
    """A table of metrics with intervals: a row for each kind of sound, with a player.

    Args:
        rows: of `experiments.results`: "row" is the name, metrics are [value, low, high]. One that
            is missing stays empty.
        columns: metric -> heading.
        sounds: name of a row -> (n,) samples at `sample_rate` Hz, all under one gain.
    """
    from IPython.display import HTML

    level = gain(sounds.values())
    lines = [("", *(f"<b>{html.escape(title)}</b>" for title in (*columns.values(), "listen")))]
    for row in rows:
        name = row["row"]
        sound = player(name, level * sounds[name], sample_rate) if name in sounds else ""
        lines.append((html.escape(name), *(_interval(row.get(m)) for m in columns), sound))
    return HTML(table(lines))


def table(rows: Iterable[Sequence[str]]) -> str:
    """HTML of a table, from that of its cells."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _interval(metric: list[float] | None) -> str:
    if metric is None:
        return ""
    if metric[1] is None:
        return f"{metric[0]:.3g}"
    value, interval = str(Estimate(*metric)).split(" ", 1)
    return f"{value}<br><small>{interval}</small>"  # may wrap: the player needs the width


def _base64(file: io.BytesIO) -> str:
    return base64.b64encode(file.getvalue()).decode()
