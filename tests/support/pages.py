"""What a page of HTML, or a panel of widgets, holds."""

import base64
import io
import re
from collections.abc import Iterator

import ipywidgets
import numpy as np
import soundfile
from PIL import Image


def images_in(page: str) -> list[Image.Image]:
    """Images of the SVGs of a page."""
    data = re.findall(r'href="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in data]


def greys_in(page: str) -> list[np.ndarray]:
    """The same as brightness, (height, width) int."""
    return [np.asarray(image.convert("L"), int) for image in images_in(page)]


def sounds_in(page: str) -> list[np.ndarray]:
    """Samples (n,) of the players of a page."""
    data = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    return [soundfile.read(io.BytesIO(base64.b64decode(text)))[0] for text in data]


def controls_in(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """All widgets of a panel that can be operated."""
    for child in getattr(widget, "children", ()):
        yield from controls_in(child)
    if hasattr(widget, "disabled"):
        yield widget
