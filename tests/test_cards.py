"""Cards: what is drawn, what is heard, and what they say to a screen reader."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
from PIL import Image

from ddpmlib import cards
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams, audio_to_image

TONE = 0.3 * np.sin(np.arange(16_000) / 5).astype(np.float32)


def images_in(page: str) -> list[Image.Image]:
    data = re.findall(r'href="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in data]


def sounds_in(page: str) -> list[np.ndarray]:
    data = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    return [soundfile.read(io.BytesIO(base64.b64decode(text)))[0] for text in data]


def test_a_grid_has_a_picture_a_player_and_a_download_for_each():
    page = cards.cards([np.zeros((1, 64, 256))] * 3, [TONE] * 3, DEFAULT, ["a", "<b>", "c"]).data
    assert page.count("<figure") == page.count("<svg") == page.count("<audio ") == 3
    assert page.count('download="') == 3
    assert "<b>" not in page
    assert page.count('aria-label="&lt;b&gt;"') == 2, "of the picture and of the player"
    assert len(images_in(page)) == 3


def test_all_sounds_of_a_grid_are_under_one_gain():
    page = cards.cards([np.zeros((64, 9))] * 2, [TONE, TONE / 4], DEFAULT, ["a", "b"]).data
    loud, soft = (np.abs(sound).max() for sound in sounds_in(page))
    assert loud == pytest.approx(cards.PEAK, abs=1e-3)
    assert loud == pytest.approx(4 * soft, rel=0.01)


def test_a_player_keeps_the_samples_it_is_given():
    [heard] = sounds_in(cards.player("tone", TONE, 16_000))
    np.testing.assert_allclose(heard, TONE, atol=1e-4)


@pytest.mark.parametrize("params", [DEFAULT, SpectrogramParams(22_050, fmax=11_025.0, fmin=50.0)])
def test_a_tone_is_drawn_at_its_frequency_and_time(params):
    seconds = np.arange(2 * params.sample_rate) / params.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 2000 * seconds) * (seconds > 1)
    svg = cards.picture_svg(audio_to_image(tone.astype(np.float32), params), params, "tone")
    [image] = images_in(svg)
    brightness = np.asarray(image.convert("L"), int)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    x, y, width, height = cards.PLOT
    at = float(re.search(r'y="([\d.]+)" text-anchor="end">2000<', svg)[1]) - 3
    assert y + (row + 0.5) / image.height * height == pytest.approx(at, abs=2)
    second = float(re.search(r'x="([\d.]+)"[^>]*>1<', svg)[1])
    assert x + column / image.width * width > second - 3


def test_the_line_runs_from_the_first_second_to_the_last():
    page = cards.card("a", "<img>", TONE, 16_000, span=(0.25, 0.75))
    assert 'data-from="0.25" data-to="0.75"' in page
    assert "left: 25.00%" in page


def test_sixteen_cards_are_a_few_megabytes():
    noise = np.random.default_rng(0).normal(0, 0.1, 65_000).astype(np.float32)
    pictures = np.random.default_rng(0).uniform(-1, 1, (16, 1, 64, 256))
    page = cards.cards(pictures, [noise] * 16, DEFAULT, [str(i) for i in range(16)]).data
    assert len(page) < 4e6, "noise cannot be compressed; speech is half of that"
