"""Watching a training: lines for papermill, a dashboard with a button for people."""

import signal

import numpy as np
import pytest
from tiny import PARAMS, STEPS, checkpoint, fit

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.interface import training_dashboard
from ddpmlib.interface.training_dashboard import Dashboard, Stopped, TrainingLog
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.progress import Progress

CONFIG, KERNEL = TrainConfig(), "/run/kernel-1234-abcd.json"
ROW = {"minutes": 1.0, "train_loss": 0.5, "validation_loss": 0.4}


@pytest.fixture(autouse=True)
def _kernel(monkeypatch):
    """As in a kernel that a Jupyter server has started."""
    monkeypatch.setattr("ipykernel.connect.get_connection_file", lambda: KERNEL)


@pytest.fixture
def shown(monkeypatch) -> list:
    """What is displayed: ("new" or "update", how many axes)."""
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(("update", len(figure.axes)))

    def display(what, display_id=None):
        shown.append(("new", len(getattr(what, "axes", ()))))
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    return shown


@pytest.fixture
def clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(training_dashboard.time, "monotonic", lambda: clock[0])
    return clock


def samples(folder) -> tuple:
    files = [folder / f"epoch_0001_{i}{end}" for i in range(2) for end in (".png", ".wav")]
    for png, wav in zip(files[::2], files[1::2], strict=True):
        save_png(png, np.zeros((64, 256)))
        save_wav(wav, np.full(1000, 0.1), DEFAULT.sample_rate)
    return tuple(files)


def test_nobody_to_click_means_lines():
    assert type(training_dashboard.watch(DEFAULT)) is TrainingLog


def test_somebody_to_click_means_a_dashboard(monkeypatch):
    monkeypatch.setattr(training_dashboard, "is_live", lambda: True)
    assert type(training_dashboard.watch(DEFAULT)) is Dashboard


def test_the_log_prints_at_least_a_line_a_minute(clock, shown, capsys, monkeypatch):
    monkeypatch.setattr(training_dashboard, "REDRAW", 100)
    log = TrainingLog(DEFAULT)
    for step in range(1, 601):
        clock[0] += 1.0
        log(Progress(CONFIG, 1, step, step / 600, step / 60, 0.5))
    lines = capsys.readouterr().out.splitlines()
    assert 10 <= len(lines) <= 13
    assert "step 600" in lines[-1]
    assert "left" in lines[0]
    assert shown[0] == ("new", 1)
    assert set(shown[1:]) == {("update", 1)}, "one plot, redrawn"


def test_the_log_draws_loss_and_samples_once_and_then_updates_them(tmp_path, shown):
    log = TrainingLog(DEFAULT)
    for epoch in (1, 2):
        log(Progress(CONFIG, epoch, epoch, 1.0, 1.0, 0.5, ROW, samples(tmp_path)))
    assert shown == [("new", 1), ("new", 4), ("update", 1), ("update", 4)]


def test_the_smoothed_curve_stays_short_and_follows_the_loss(clock, shown, monkeypatch):
    log = TrainingLog(DEFAULT)
    for step in range(1, 5001):
        log.remember(Progress(CONFIG, 1, step, 0.5, step / 60, 1.0 if step < 2500 else 0.1))
    assert 200 < len(log.steps) <= training_dashboard.POINTS
    minutes, losses = np.transpose(log.steps)
    assert (np.diff(minutes) > 0).all()
    assert minutes[-1] > 80
    assert losses[0] == pytest.approx(1)
    assert losses[-1] == pytest.approx(0.1, abs=0.01)


def test_the_dashboard_shows_progress_loss_and_players(tmp_path, shown, capsys):
    with Dashboard(DEFAULT, [ROW]) as board:
        board(Progress(CONFIG, 1, 7, 0.25, 1.0, 0.5, epoch_share=0.5))
        assert (board.run.value, board.epoch.value) == (0.25, 0.5)
        assert "about 3.0 left" in board.line.value
        board(Progress(CONFIG, 1, 8, 1.0, 1.0, 0.5, ROW, samples(tmp_path), 1.0))
    assert "<img" in board.loss.value
    assert board.samples.value.count("<audio ") == 2
    assert not board.stop.value, "nothing is left to stop"
    assert not capsys.readouterr().out


def test_an_interrupt_ends_with_one_line_and_a_checkpoint_and_training_goes_on(tmp_path, shown):
    board = Dashboard(PARAMS)

    def interrupt(progress):
        board(progress)
        if progress.step == 6:
            signal.raise_signal(signal.SIGINT)  # what the button makes the server send

    line = "stopped after step 6; checkpoint is saved; run this cell again"
    with pytest.raises(Stopped, match=line), board:
        fit(tmp_path, callback=interrupt, epochs=2)
    assert checkpoint(tmp_path / "run")["counters"]["step"] == 6
    assert not board.stop.value
    assert Stopped("one line")._render_traceback_() == ["one line"]
    steps = []
    fit(tmp_path, callback=lambda progress: steps.append(progress.step), epochs=2)
    assert steps == list(range(7, 2 * STEPS + 1))


def test_the_button_interrupts_this_kernel():
    button = training_dashboard.stop_button()
    assert "api/kernels/1234-abcd/interrupt" in button
    assert button.count('"') == 4, "quotes of the script are escaped"


def test_a_finished_run_has_a_line_for_it_and_its_loss(shown):
    with Dashboard(DEFAULT, [ROW]) as board:
        pass
    assert "nothing is left to train" in board.line.value
    assert "<img" in board.loss.value


def test_an_interrupt_without_a_message_ends_with_a_line_too(shown):
    with pytest.raises(Stopped, match=r"^stopped; run this cell again"), Dashboard(DEFAULT):
        raise KeyboardInterrupt


def test_ctrl_c_passes_through_the_log():
    with pytest.raises(KeyboardInterrupt), TrainingLog(DEFAULT):
        raise KeyboardInterrupt


def test_progress_has_the_share_of_the_epoch(tmp_path):
    shares = []
    fit(tmp_path, callback=lambda progress: shares.append(progress.epoch_share), epochs=2)
    assert shares == [0.25, 0.5, 0.75, 1.0] * 2
