"""Players and plots: what a notebook shows, without a browser."""

import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_cards import sounds_in

from ddpmlib import listen
from ddpmlib.cards import PEAK
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams, audio_to_image


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def test_players_keep_the_differences_in_level_and_never_clip():
    tone = np.sin(np.arange(8000) / 10)
    page = listen.players({"loud": 4 * tone, "soft": tone}, 8000).data
    loud, soft = sounds_in(page)
    assert np.abs(loud).max() == pytest.approx(PEAK, abs=1e-3)
    assert np.abs(soft).max() == pytest.approx(PEAK / 4, abs=1e-3)


def test_no_sounds_make_an_empty_table():
    assert "<audio" not in listen.players({}, 8000).data


def test_players_survive_silence_and_odd_labels():
    page = listen.players({'<b>"x"': np.zeros(100)}, 8000).data
    assert "<b>" not in page
    assert not sounds_in(page)[0].any()


@pytest.mark.parametrize("params", [DEFAULT, SpectrogramParams(22_050, fmax=11_025.0, fmin=50.0)])
def test_a_tone_is_drawn_at_its_frequency_and_time(params):
    seconds = np.arange(2 * params.sample_rate) / params.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 2000 * seconds) * (seconds > 1)
    picture = audio_to_image(tone.astype(np.float32), params)
    ax = plt.subplots()[1]
    listen.show_picture(ax, picture, params)
    left, right, bottom, top = ax.images[0].get_extent()
    assert right == pytest.approx(2, abs=0.05)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    height = bottom + (row + 0.5) * (top - bottom) / params.n_mels
    ticks = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert height == pytest.approx(ticks["2000"], abs=1)
    assert left + column * (right - left) / picture.shape[1] > 0.95


def test_judge_table_has_a_cell_a_measure_and_one_gain_for_all_players():
    rows = [
        {"row": "real <b>", "dnsmos": [3.21, 3.1, 3.32]},
        {"row": "noise", "dnsmos": [1.1, 1.0, 1.2], "nearest_db": [20.0, 19.0, 21.0]},
        {"row": "unheard"},
        {"row": "kept without interval", "dnsmos": [2.48, None, None]},
    ]
    tone = np.sin(np.arange(1000))
    sounds = {"real <b>": 0.5 * tone, "noise": 0.05 * tone}
    table = listen.judge_table(rows, {"nearest_db": "dB", "dnsmos": "DNSMOS"}, sounds, 16_000).data
    assert table.count("<tr>") == 5
    assert table.count("<td>") == 5 * 4
    assert "<td></td><td>2.48</td>" in table
    assert table.count("<audio ") == 2
    assert "real &lt;b&gt;" in table
    first = re.sub(r"<small.*?>|</small>", "", table.split("<tr>")[2])
    assert "<td></td><td>3.21<br>(3.10 to 3.32)</td>" in first, "values under their own heading"
    loudest = [np.abs(sound).max() for sound in sounds_in(table)]
    assert loudest == pytest.approx([0.9, 0.09], abs=0.01)


def test_curve_draws_values_and_intervals():
    ax = plt.figure().subplots()
    rows = [{"minutes": 2, "dnsmos": [1.5, 1.4, 1.7]}, {"minutes": 4, "dnsmos": [2.0, 1.8, 2.1]}]
    listen.curve(ax, rows, "minutes", "dnsmos")
    [[line, _, [bars]]] = ax.containers
    assert line.get_xydata().tolist() == [[2, 1.5], [4, 2.0]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "4"]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([1.4, 1.7]), pytest.approx([1.8, 2.1])]


def test_curve_draws_a_value_without_an_interval():
    ax = plt.figure().subplots()
    rows = [{"minutes": m, "dnsmos": [value, None, None]} for m, value in ((2, 1.5), (4, 2.0))]
    listen.curve(ax, rows, "minutes", "dnsmos")
    [[line, _, [bars]]] = ax.containers
    assert line.get_xydata().tolist() == [[2, 1.5], [4, 2.0]]
    assert not any(np.size(segment) for segment in bars.get_segments())


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_picture_wall_shows_every_picture_once(count):
    figure = listen.picture_wall([np.zeros((1, 64, 256))] * count, DEFAULT, ["a"] * count)
    assert sum(len(ax.images) for ax in figure.axes) == count


def test_loss_curves_survive_a_run_without_validation():
    rows = [{"minutes": m, "train_loss": 1 / m, "validation_loss": None} for m in (1, 2, 3)]
    figure = listen.loss_curves(rows)
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


def test_names_with_dollars_are_no_mathematics():
    figure = listen.waveform_stft_mel(np.full(9000, 0.1), DEFAULT, "a_$1_$2.wav")
    listen.show_picture(figure.axes[2], np.zeros((64, 9)), DEFAULT, "a_$1_$2.wav")
    figure.savefig(io.BytesIO())


def test_three_views_share_their_seconds():
    figure = listen.waveform_stft_mel(np.random.default_rng(0).normal(0, 0.1, 24_000), DEFAULT)
    left, right = listen.VIEWS_SPAN
    assert len(figure.axes) == 3
    for ax in figure.axes:
        assert ax.get_xlim() == pytest.approx((0, 1.5))
        box = ax.get_position()
        assert (box.x0, box.x1) == pytest.approx((left, right)), "the playhead runs over all of it"
