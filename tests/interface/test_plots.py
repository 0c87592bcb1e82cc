"""Plots: what is drawn, without a window."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ddpmlib.interface import plots
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams
from ddpmlib.text.alignment import Alignment, Interval


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("params", [DEFAULT, SpectrogramParams(22_050, fmax=11_025.0, fmin=50.0)])
def test_a_tone_is_drawn_at_its_frequency_and_time(params):
    seconds = np.arange(2 * params.sample_rate) / params.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 2000 * seconds) * (seconds > 1)
    mel = audio_to_image(tone.astype(np.float32), params)
    ax = plt.subplots()[1]
    plots.show_mel(ax, mel, params)
    left, right, bottom, top = ax.images[0].get_extent()
    assert right == pytest.approx(2, abs=0.05)
    row, column = np.unravel_index(mel.argmax(), mel.shape)
    height = bottom + (row + 0.5) * (top - bottom) / params.n_mels
    ticks = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert height == pytest.approx(ticks["2000"], abs=1)
    assert left + column * (right - left) / mel.shape[1] > 0.95


def test_curve_draws_values_and_intervals():
    ax = plt.figure().subplots()
    rows = [{"minutes": 2, "dnsmos": [1.5, 1.4, 1.7]}, {"minutes": 4, "dnsmos": [2.0, 1.8, 2.1]}]
    plots.curve(ax, rows, "minutes", "dnsmos")
    [[line, _, [bars]]] = ax.containers
    assert line.get_xydata().tolist() == [[2, 1.5], [4, 2.0]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "4"]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([1.4, 1.7]), pytest.approx([1.8, 2.1])]


def test_curve_draws_a_value_without_an_interval():
    ax = plt.figure().subplots()
    rows = [{"minutes": m, "dnsmos": [value, None, None]} for m, value in ((2, 1.5), (4, 2.0))]
    plots.curve(ax, rows, "minutes", "dnsmos")
    [[line, _, [bars]]] = ax.containers
    assert line.get_xydata().tolist() == [[2, 1.5], [4, 2.0]]
    assert not any(np.size(segment) for segment in bars.get_segments())


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_mel_grid_shows_every_mel_once(count):
    figure = plots.mel_grid([np.zeros((1, 64, 256))] * count, DEFAULT, ["a"] * count)
    assert sum(len(ax.images) for ax in figure.axes) == count


def test_loss_curves_survive_a_run_without_validation():
    rows = [{"minutes": m, "train_loss": 1 / m, "validation_loss": None} for m in (1, 2, 3)]
    figure = plots.loss_curves(rows)
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


def test_names_with_dollars_are_no_mathematics():
    figure = plots.waveform_stft_mel(np.full(9000, 0.1), DEFAULT, "a_$1_$2.wav")
    plots.show_mel(figure.axes[2], np.zeros((64, 9)), DEFAULT, "a_$1_$2.wav")
    figure.savefig(io.BytesIO())


def test_three_views_share_their_seconds():
    figure = plots.waveform_stft_mel(np.random.default_rng(0).normal(0, 0.1, 24_000), DEFAULT)
    left, right = plots.VIEWS_SPAN
    assert len(figure.axes) == 3
    for ax in figure.axes:
        assert ax.get_xlim() == pytest.approx((0, 1.5))
        box = ax.get_position()
        assert (box.x0, box.x1) == pytest.approx((left, right)), "the playhead runs over all of it"


def test_words_and_phones_stand_at_their_time():
    phones = Interval("SIL", 0, 0.5), Interval("AY", 0.5, 0.75), Interval("$K$", 0.75, 1.5)
    alignment = Alignment(phones, (Interval("ike", 0.5, 1.5),))
    ax = plt.figure().subplots()
    plots.show_alignment(ax, np.zeros((64, 100)), DEFAULT, alignment, "a_$1_$2")
    at = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert at == {"SIL": 0.25, "AY": 0.625, "$K$": 1.125, "ike": 1.0}
    assert {0.5, 0.75, 1.5} == {line.get_xdata()[0] for line in ax.lines}
    ax.figure.savefig(io.BytesIO())
    assert all(0 < text.get_position()[1] < DEFAULT.n_mels for text in ax.texts)
