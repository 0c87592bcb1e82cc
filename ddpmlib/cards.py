"""Cards in plain HTML: a picture, a player under it, and a line that runs over it while it plays.

They need neither kernel nor widgets, so they also play in an executed notebook and its HTML page.
"""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np

from ddpmlib.spectrogram import SpectrogramParams

COLORS = "magma"  # even steps of brightness, also in grey print and for colour-blind eyes
PEAK = 0.9  # of the loudest sample of players under one gain
TICKS = (250, 1000, 2000, 4000, 8000, 16000)  # Hz, far enough apart for a small panel
SIZE, PLOT = (340, 132), (34, 4, 302, 104)  # of a picture with its axes; x, y, width, height inside
SPAN = (PLOT[0] / SIZE[0], (PLOT[0] + PLOT[2]) / SIZE[0])  # where its seconds begin and end

_HEAD = (  # of the line, in a handler of the player
    "const head=this.closest('figure').querySelector('i'),"
    "move=()=>{head.style.left=100*(+head.dataset.from+(head.dataset.to-head.dataset.from)"
    "*this.currentTime/this.duration)+'%';this.paused||requestAnimationFrame(move)};move();"
)
_ALONE = "document.querySelectorAll('audio').forEach(other=>other===this||other.pause());"
_SEEK = (
    "const audio=this.closest('figure').querySelector('audio'),box=this.getBoundingClientRect(),"
    "head=this.querySelector('i'),share=(event.clientX-box.left)/box.width;"
    "audio.currentTime=audio.duration*Math.min(1,Math.max(0,(share-head.dataset.from)"
    "/(head.dataset.to-head.dataset.from)));"
)
_SAVE = "this.href=this.closest('figure').querySelector('audio').currentSrc"


def gain(sounds: Sequence[np.ndarray]) -> float:
    """One gain for all, so that loudness can be compared and no peak is cut off."""
    peak = max((np.abs(samples).max() for samples in sounds), default=0)
    return PEAK / max(peak, 1e-9)


def mel_ticks(params: SpectrogramParams) -> tuple[np.ndarray, list[int]]:
    """Where in the bands (0 ... n_mels, from below) some frequencies lie, and these in Hz."""
    import librosa

    bands = librosa.mel_frequencies(params.n_mels + 2, fmin=params.fmin, fmax=params.fmax)
    hertz = [hz for hz in TICKS if params.fmin < hz <= params.fmax]
    return np.interp(hertz, bands[1:-1], np.arange(params.n_mels) + 0.5), hertz


def player(label: str, samples: np.ndarray, sample_rate: int, moving: str = "") -> str:
    """An audio element with (n,) samples inside; one that plays stops all others.

    Args:
        moving: JavaScript that moves something along with the sound.
    """
    import soundfile

    flac = io.BytesIO()  # half the size of wav, and every browser plays it
    soundfile.write(flac, samples, sample_rate, format="FLAC")
    data = base64.b64encode(flac.getvalue()).decode()
    return (
        f'<audio controls aria-label="{html.escape(label)}" style="width: 100%; min-width: 9em" '
        f'onplay="{_ALONE}{moving}" onseeking="{moving}" src="data:audio/flac;base64,{data}">'
        "</audio>"
    )


def picture_svg(picture: np.ndarray, params: SpectrogramParams, title: str) -> str:
    """(n_mels, frames) or (1, n_mels, frames) in [-1, 1] with axes in seconds and Hz."""
    picture = np.asarray(picture, np.float32).reshape(np.shape(picture)[-2:])
    x, y, width, height = PLOT
    seconds = picture.shape[1] * params.hop_length / params.sample_rate
    parts = [
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_png(picture)}"/>'
    ]
    for band, hertz in zip(*mel_ticks(params), strict=True):
        at = y + height * (1 - band / params.n_mels)
        parts.append(f'<text x="{x - 3}" y="{at + 3:.1f}" text-anchor="end">{hertz}</text>')
    for second in range(0, int(seconds) + 1, 1 if seconds < 8 else 2):
        at = x + width * second / seconds
        parts.append(f'<text x="{at:.1f}" y="{y + height + 11}" text-anchor="middle">{second}')
        parts.append("</text>")
    parts.append(f'<text x="{x + width}" y="{SIZE[1] - 3}" text-anchor="end">seconds</text>')
    parts.append('<text x="1" y="127">Hz</text>')
    return (
        f'<svg viewBox="0 0 {SIZE[0]} {SIZE[1]}" role="img" aria-label="{html.escape(title)}" '
        f'style="width: 100%; display: block" font-size="9" fill="currentColor">{"".join(parts)}'
        "</svg>"
    )


def figure_img(figure, title: str) -> str:
    """A matplotlib figure as an image."""
    png = io.BytesIO()
    figure.savefig(png, dpi=100)
    data = base64.b64encode(png.getvalue()).decode()
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}" width="100%">'


def card(
    title: str,
    drawn: str,
    samples: np.ndarray,
    sample_rate: int,
    span: tuple[float, float] = SPAN,
) -> str:
    """A picture, over which a line runs, and its player; a click on the picture seeks.

    Args:
        drawn: HTML of the picture.
        samples: (n,) at `sample_rate` Hz, in [-1, 1].
        span: where in its width the picture's seconds begin and end, 0...1.
    """
    name, head = html.escape(title), f'data-from="{span[0]}" data-to="{span[1]}"'
    line = "position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; outline: 1px solid"
    return (
        f'<figure style="margin: 0.5em; min-width: 0"><figcaption>{name} '
        f'<a href="#" download="{name}.flac" onclick="{_SAVE}" '
        f'aria-label="download {name}" style="text-decoration: underline">download</a></figcaption>'
        f'<div style="position: relative; cursor: pointer" onclick="{_SEEK}">{drawn}'
        f'<i {head} style="{line} #000; left: {100 * span[0]:.2f}%"></i></div>'
        f"{player(title, samples, sample_rate, _HEAD)}</figure>"
    )


def cards(
    pictures: Sequence[np.ndarray],
    sounds: Sequence[np.ndarray],
    params: SpectrogramParams,
    titles: Sequence[str],
):
    """A grid of cards, as wide as there is room; all sounds under one gain."""
    from IPython.display import HTML

    level = gain(sounds)
    made = [
        card(title, picture_svg(picture, params, title), level * sound, params.sample_rate)
        for picture, sound, title in zip(pictures, sounds, titles, strict=True)
    ]
    return HTML(grid(made))


def grid(parts: Sequence[str]) -> str:
    """As many columns of equal width as there is room for."""
    columns = "repeat(auto-fill, minmax(19em, 1fr))"
    return f'<div style="display: grid; grid-template-columns: {columns}">{"".join(parts)}</div>'


def _png(picture: np.ndarray) -> str:
    """Base64 of a PNG with a palette, low bands at the bottom."""
    from matplotlib import colormaps
    from PIL import Image

    levels = ((picture[::-1].clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    image = Image.frombytes("P", levels.shape[::-1], levels.tobytes())
    image.putpalette(colormaps[COLORS](np.arange(256), bytes=True)[:, :3].tobytes())
    png = io.BytesIO()
    image.save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()
