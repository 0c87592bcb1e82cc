"""A browser for a folder of recordings: pick, look, listen, and drop in your own."""

import hashlib
import html
import os
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np

from ddpmlib.audio import ENDINGS, AudioError, Recording, clean, load_audio
from ddpmlib.cards import card, figure_img, player
from ddpmlib.listen import VIEWS_SPAN, waveform_stft_mel
from ddpmlib.spectrogram import DEFAULT, SpectrogramParams, audio_to_image, image_to_audio
from ddpmlib.storage import atomic_write, data_folder, make_folder
from ddpmlib.widgets import Status, is_live, row

OWN = "corpora/own"  # folder in data/ for recordings that were dropped in
ALL, USABLE, CLIPPED, PROBLEM = "all", "usable", "clipped", "with a problem"


def browse(
    recordings: dict[Path, Recording],
    problems: dict[Path, str],
    params: SpectrogramParams = DEFAULT,
):
    """The browser; without anybody to click, the view of the first recording.

    Args:
        recordings: facts of usable files; their samples are not needed.
        problems: the reason of each file that cannot be used.
    """
    from IPython.display import HTML

    if is_live():
        return Browser(recordings, problems, params).widget
    return HTML(view(next(iter(recordings)), params))


def view(path: Path, params: SpectrogramParams = DEFAULT) -> str:
    """HTML of one recording: three views under a playhead, players, and facts.

    All recordings are played at one level, that of prepared speech, so that none is louder than
    another; where this would cut off peaks, it is lowered, and a line says so.

    Raises:
        AudioError: it cannot be used; the message is the reason.
    """
    recording = load_audio(path, params.sample_rate)
    sound = clean(recording.samples, params.sample_rate)
    back = image_to_audio(audio_to_image(sound, params), params)
    channels = "mono" if recording.channels == 1 else f"{recording.channels} channels"
    facts = {
        "length": f"{recording.seconds:.2f} s, {len(sound) / params.sample_rate:.2f} s trimmed",
        "in the file": f"{recording.source_rate} Hz, {channels}, "
        f"{recording.level_db:.0f} dBFS" + (", clipped" if recording.clipped else ""),
    }
    peak = float(max(np.abs(sound).max(), np.abs(back).max()))
    if peak > 1:
        facts["played"] = f"{20 * np.log10(peak):.1f} dB softer than others, for its peaks"
    level, title = 1 / max(1.0, peak), path.name
    drawn = figure_img(waveform_stft_mel(sound, params, title), f"three views of {title}")
    lines = "".join(f"<li>{name}: {html.escape(fact)}</li>" for name, fact in facts.items())
    return (
        card(title, drawn, level * sound, params.sample_rate, VIEWS_SPAN)
        + "<p>through the grid and back</p>"
        + player(f"{title}, through the grid and back", level * back, params.sample_rate)
        + f"<ul>{lines}</ul>"
    )


def add_own(name: str, content: bytes) -> Path:
    """Keep a recording in `data/corpora/own/`; one of the same name stays beside it.

    Raises:
        AudioError: its ending is not that of audio.
    """
    path = Path(name)
    if path.suffix.lower() not in ENDINGS:
        raise AudioError(f"{name} does not end like audio; needed: {' '.join(sorted(ENDINGS))}")
    folder = make_folder(data_folder() / OWN)
    path = folder / path.name.lstrip(".")
    if path.exists() and path.read_bytes() != content:
        path = folder / f"{path.stem}-{hashlib.sha256(content).hexdigest()[:8]}{path.suffix}"
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path


class Browser:
    """The controls of `browse`; `widget` shows them."""

    def __init__(self, recordings, problems, params):
        self.recordings, self.problems, self.params = dict(recordings), dict(problems), params
        longest = max((r.seconds for r in recordings.values()), default=1.0)
        self.shown = ipywidgets.Dropdown(
            options=[ALL, USABLE, CLIPPED, PROBLEM], description="show", value=ALL
        )
        self.length = ipywidgets.FloatRangeSlider(
            description="seconds",
            min=0,
            max=float(np.ceil(longest)),
            value=(0, float(np.ceil(longest))),
            continuous_update=False,
        )
        self.file = ipywidgets.Dropdown(description="file", layout={"width": "28em"})
        self.previous = ipywidgets.Button(description="previous", icon="step-backward")
        self.next = ipywidgets.Button(description="next", icon="step-forward")
        self.upload = ipywidgets.FileUpload(
            description="your own", multiple=True, accept="audio/*,.g722"
        )
        self.status, self.page, self.opened = Status(), ipywidgets.HTML(), None
        self.widget = ipywidgets.VBox(
            [
                row(self.shown, self.length),
                row(self.file, self.previous, self.next, self.upload),
                self.status,
                self.page,
            ]
        )
        for control in (self.shown, self.length):
            control.observe(self.filter, "value")
        self.file.observe(self.open, "value")
        self.previous.on_click(lambda _: self.move(-1))
        self.next.on_click(lambda _: self.move(1))
        self.upload.observe(self.take, "value")
        self.filter()

    def filter(self, _=None) -> None:
        """Offer the files that match the controls; the open one stays open if it does."""
        kind, (shortest, longest) = self.shown.value, self.length.value
        files = [
            path
            for path, recording in self.recordings.items()
            if kind in (ALL, USABLE) or (kind == CLIPPED and recording.clipped)
            if shortest <= recording.seconds <= longest
        ]
        files += self.problems if kind in (ALL, PROBLEM) else []
        self.offer(sorted(files))

    def offer(self, files: list[Path], chosen: Path | None = None) -> None:
        """Put files into the list, and open the chosen one, else the one before, else the first."""
        wanted = chosen or self.file.value
        self.file.unobserve(self.open, "value")  # what the list does meanwhile opens nothing
        top = Path(os.path.commonpath([path.parent for path in files])) if files else None
        self.file.options = [(str(path.relative_to(top)), path) for path in files]
        self.file.value = wanted if wanted in files else next(iter(files), None)
        self.file.observe(self.open, "value")
        if self.file.value != self.opened:
            self.open()
        if not files:
            self.status.say("no recording matches; widen the filter")

    def open(self, _=None) -> None:
        """Show the chosen file, or the reason why it cannot be used."""
        self.opened = path = self.file.value
        if path is None:
            self.page.value = ""
        elif path in self.problems:
            self.page.value = ""
            self.status.say(f"{path.name} cannot be used: {self.problems[path]}")
        else:
            with self.status.at_work(f"opening {path.name} ..."):
                self.page.value = view(path, self.params)

    def move(self, by: int) -> None:
        """To the next file or the previous one; around at the ends."""
        if files := [path for _, path in self.file.options]:
            self.file.value = files[(files.index(self.file.value) + by) % len(files)]

    def take(self, _=None) -> None:
        """Keep what was dropped in, and open the last of it; say what could not be kept."""
        refused = []
        for dropped in self.upload.value:
            with self.status.at_work(f"reading {dropped['name']} ...", self.upload):
                path = add_own(dropped["name"], bytes(dropped["content"]))
                try:
                    recording = load_audio(path, self.params.sample_rate)
                    self.recordings[path] = replace(recording, samples=None)
                    self.length.max = max(self.length.max, float(np.ceil(recording.seconds)))
                except AudioError as error:
                    self.problems[path] = str(error)
                self.shown.value, self.length.value = ALL, (0, self.length.max)
                self.offer(sorted({*self.recordings, *self.problems}), path)
            refused += [self.status.said] if self.status.said else []
        if refused:
            self.status.say("; ".join(refused))
