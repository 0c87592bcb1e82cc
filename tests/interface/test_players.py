"""Players: what is drawn and played, and its labels for a screen reader."""

import re

import numpy as np
import pytest
from pages import greys_in, images_in, sounds_in

from ddpmlib.audio.cleaning import PEAK
from ddpmlib.interface import players
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams

TONE = 0.3 * np.sin(np.arange(16_000) / 5).astype(np.float32)


def peaks(page: str) -> list[float]:
    return [np.abs(sound).max() for sound in sounds_in(page)]


def test_each_has_a_mel_a_player_and_a_download():
    mels = [np.zeros((1, 64, 256))] * 3
    page = players.mel_players(mels, [TONE] * 3, DEFAULT, ["a", "<b>", "c"]).data
    assert page.count("<figure") == page.count("<svg") == page.count("<audio ") == 3
    assert page.count('download="') == 3
    assert "<b>" not in page
    assert page.count('aria-label="&lt;b&gt;"') == 2, "of the mel-spectrogram and of the player"
    assert len(images_in(page)) == 3


def test_all_sounds_of_a_grid_are_under_one_gain():
    mels = [np.zeros((64, 9))] * 2
    page = players.mel_players(mels, [TONE, TONE / 4], DEFAULT, ["a", "b"]).data
    loud, soft = peaks(page)
    assert loud == pytest.approx(PEAK, abs=1e-3)
    assert loud == pytest.approx(4 * soft, rel=0.01)


def test_a_player_plays_the_samples_it_is_given():
    [played] = sounds_in(players.player("tone", TONE, 16_000))
    np.testing.assert_allclose(played, TONE, atol=1e-4)


@pytest.mark.parametrize("params", [DEFAULT, SpectrogramParams(22_050, fmax=11_025.0, fmin=50.0)])
def test_a_tone_is_drawn_at_its_frequency_and_time(params):
    seconds = np.arange(2 * params.sample_rate) / params.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 2000 * seconds) * (seconds > 1)
    svg = players.mel_svg(audio_to_image(tone.astype(np.float32), params), params, "tone")
    [grey] = greys_in(svg)
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    x, y, width, height = players.PLOT
    at = float(re.search(r'y="([\d.]+)" text-anchor="end">2000<', svg)[1]) - 3
    assert y + (row + 0.5) / len(grey) * height == pytest.approx(at, abs=2)
    second = float(re.search(r'x="([\d.]+)"[^>]*>1<', svg)[1])
    assert x + column / grey.shape[1] * width > second - 3


def test_the_line_runs_from_the_first_second_to_the_last():
    page = players.plot_player("<img>", TONE, 16_000, "a", span=(0.25, 0.75))
    assert page.count("left: 25.00%; width: 50.00%") == 1


def test_sixteen_players_are_a_few_megabytes():
    noise = np.random.default_rng(0).normal(0, 0.1, 65_000).astype(np.float32)
    mels = np.random.default_rng(0).uniform(-1, 1, (16, 1, 64, 256))
    page = players.mel_players(mels, [noise] * 16, DEFAULT, [str(i) for i in range(16)]).data
    assert len(page) < 4e6, "noise cannot be compressed; speech is half of that"


def test_a_table_keeps_the_differences_in_level_and_never_clips():
    tone = np.sin(np.arange(8000) / 10)
    page = players.sound_table({"loud": 4 * tone, "soft": tone}, 8000).data
    assert peaks(page) == pytest.approx([PEAK, PEAK / 4], abs=1e-3)


def test_no_sounds_make_an_empty_table():
    assert "<audio" not in players.sound_table({}, 8000).data


def test_a_table_survives_silence_and_odd_labels():
    page = players.sound_table({'<b>"x"': np.zeros(100)}, 8000).data
    assert "<b>" not in page
    assert peaks(page) == [0]


def test_a_metrics_table_has_a_cell_for_each_metric_and_one_gain_for_all_players():
    rows = [
        {"row": "real <b>", "dnsmos": [3.21, 3.1, 3.32]},
        {"row": "noise", "dnsmos": [1.1, 1.0, 1.2], "nearest_db": [20.0, 19.0, 21.0]},
        {"row": "without a sound"},
        {"row": "without an interval", "dnsmos": [2.48, None, None]},
    ]
    tone = np.sin(np.arange(1000))
    sounds = {"real <b>": 0.5 * tone, "noise": 0.05 * tone}
    columns = {"nearest_db": "dB", "dnsmos": "DNSMOS"}
    table = players.metrics_table(rows, columns, sounds, 16_000).data
    assert table.count("<tr>") == 5
    assert table.count("<td>") == 5 * 4
    assert "<td></td><td>2.48</td>" in table
    assert table.count("<audio ") == 2
    assert "real &lt;b&gt;" in table
    first = re.sub(r"<small.*?>|</small>", "", table.split("<tr>")[2])
    assert "<td></td><td>3.21<br>(3.10 to 3.32)</td>" in first, "values under their own heading"
    assert peaks(table) == pytest.approx([0.9, 0.09], abs=0.01)
