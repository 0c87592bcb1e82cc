"""Watching a training: progress, loss and newest samples, with a button that stops it safely."""

import html
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets
import soundfile

from ddpmlib.interface.controls import is_live
from ddpmlib.interface.players import figure_img, mel_players
from ddpmlib.interface.plots import loss_curves, mel_grid
from ddpmlib.spectrogram.codec import load_png
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.training.progress import Progress, TrainingLines, progress_line

REDRAW = 10.0  # seconds between drawings of the plot
REFRESH = 0.5  # seconds between movements of the bars
SMOOTHING = 0.95  # share of the past in the smoothed loss of steps
POINTS = 500  # of the smoothed curve; then every other one is dropped

# What the ■ of JupyterLab does. A button of ipywidgets would send its message to the busy kernel,
# which handles it only after the training (ipykernel hands a comm's messages to the shell it was
# last used from).
_INTERRUPT = """
const show = (text, wait) => { this.textContent = text; this.disabled = wait; };
const interrupt = async () => {
  show('stopping ...', true);
  const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
  const cookie = document.cookie.match('(?:^|; )_xsrf=([^;]*)');
  const headers = {'X-XSRFToken': cookie ? cookie[1] : ''};
  if (config.token) headers.Authorization = 'token ' + config.token;
  const address = config.baseUrl + 'api/kernels/KERNEL/interrupt';
  const reply = await fetch(address, {method: 'POST', headers});
  if (!reply.ok) throw reply.status;
};
interrupt().catch(() => show('not reached: interrupt the kernel', false));
"""


class Stopped(Exception):
    """The training was stopped. Ends the cell, and a run of all cells, with one line."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def watch(params: SpectrogramParams, rows: Sequence[dict] = ()) -> "TrainingLog":
    """A callback of `train`, to be entered around it: a dashboard where somebody can click, lines
    and plots elsewhere.

    Args:
        rows: metrics of earlier epochs, of a run that is resumed.
    """
    return (Dashboard if is_live() else TrainingLog)(params, rows)


class TrainingLog(TrainingLines):
    """Lines of text, and plots of the loss and the newest samples, redrawn as they come."""

    def __init__(self, params: SpectrogramParams, rows: Sequence[dict] = ()):
        super().__init__()
        self.params, self.rows = params, list(rows)
        self.steps: list[tuple[float, float]] = []  # minutes and smoothed loss
        self.every = 1  # steps between those
        self.smoothed = None
        self.drawn, self.handles = time.monotonic(), {}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return None

    def __call__(self, progress: Progress) -> None:
        self.remember(progress)
        if progress.share >= 1 or time.monotonic() - self.drawn > REDRAW:
            self.drawn = time.monotonic()
            self.show_loss()
        if progress.samples:
            self.show_samples(progress)
        self.show_progress(progress)

    def remember(self, progress: Progress) -> None:
        """Add the loss to the smoothed curve, whose points stay few."""
        before = progress.loss if self.smoothed is None else self.smoothed
        self.smoothed = SMOOTHING * before + (1 - SMOOTHING) * progress.loss
        if progress.step % self.every == 0:
            self.steps.append((progress.minutes, self.smoothed))
        if len(self.steps) > POINTS:
            self.steps, self.every = self.steps[::2], 2 * self.every
        if row := progress.metrics:  # a run that was made longer goes on from before its end
            self.rows = [
                earlier for earlier in self.rows if earlier["minutes"] < row["minutes"]
            ] + [row]

    def show_progress(self, progress: Progress) -> None:
        super().__call__(progress)

    def show_loss(self) -> None:
        self._display("loss", loss_curves(self.rows, self.steps))

    def show_samples(self, progress: Progress) -> None:
        import matplotlib.pyplot as plt

        mels = [load_png(path) for path in progress.samples[::2]]
        figure = mel_grid(mels, self.params, [f"epoch {progress.epoch}"])
        self._display("samples", figure)
        plt.close(figure)

    def _display(self, name: str, figure) -> None:
        from IPython.display import display

        if handle := self.handles.get(name):
            handle.update(figure)
        else:  # outside of IPython there is no handle
            self.handles[name] = display(figure, display_id=True)


class Dashboard(TrainingLog):
    """The same with widgets: bars, players, and a button that stops as an interrupt does."""

    def __init__(self, params: SpectrogramParams, rows: Sequence[dict] = ()):
        super().__init__(params, rows)
        bar = {"max": 1, "layout": {"width": "28em"}}
        self.epoch = ipywidgets.FloatProgress(description="epoch", **bar)
        self.run = ipywidgets.FloatProgress(description="run", **bar)
        self.line = ipywidgets.Label("the first step is on its way ...")
        self.stop = ipywidgets.HTML(stop_button())
        self.loss, self.samples = ipywidgets.HTML(), ipywidgets.HTML()
        parts = [self.epoch, self.run, self.line, self.stop, self.loss, self.samples]
        self.widget = ipywidgets.VBox(parts)
        self.moved = -float("inf")

    def __enter__(self):
        from IPython.display import display

        if self.rows:
            self.show_loss()
        display(self.widget)
        return self

    def __exit__(self, kind, error, trace):
        self.stop.value = ""
        if self.moved < 0:  # no step was made
            self.line.value = "nothing is left to train: raise epochs or max_minutes"
        if isinstance(error, KeyboardInterrupt):
            raise Stopped(f"{str(error) or 'stopped'}; run this cell again to go on") from None

    def show_progress(self, progress: Progress) -> None:
        if progress.share >= 1 or time.monotonic() - self.moved > REFRESH:
            self.moved = time.monotonic()
            self.epoch.value, self.run.value = progress.epoch_share, progress.share
            self.line.value = progress_line(progress)

    def show_loss(self) -> None:
        self.loss.value = figure_img(loss_curves(self.rows, self.steps), "loss over minutes")

    def show_samples(self, progress: Progress) -> None:
        files = progress.samples[::2]
        sounds = [soundfile.read(path.with_suffix(".wav"))[0] for path in files]
        titles = [path.stem.replace("_", " ") for path in files]
        mels = [load_png(path) for path in files]
        self.samples.value = mel_players(mels, sounds, self.params, titles).data


def stop_button() -> str:
    """HTML of a button that interrupts this kernel: `train` then finishes the step and saves."""
    from ipykernel.connect import get_connection_file

    kernel = Path(get_connection_file()).stem.removeprefix("kernel-")
    label = "stop after this step"
    script = html.escape(_INTERRUPT.replace("KERNEL", kernel))
    return f'<button class="jupyter-button widget-button" onclick="{script}">{label}</button>'
