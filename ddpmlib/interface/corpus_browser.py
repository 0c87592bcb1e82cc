"""A browser for a folder of recordings: choose one, see and play it, add your own."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import ipywidgets
import numpy as np

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.decoding import AudioError
from ddpmlib.audio.recording import ENDINGS, Recording, load_audio
from ddpmlib.interface.controls import Status, button, choice, is_live, row, slider
from ddpmlib.interface.players import figure_img, player, plot_player
from ddpmlib.interface.plots import VIEWS_SPAN, waveform_stft_mel
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.paths import data_folder
from ddpmlib.vocoder.waveform import image_to_audio

OWN = "corpora/own"  # folder in data/ for recordings that were added here
ALL, USABLE, CLIPPED, PROBLEM = "all", "usable", "clipped", "with a problem"


def browse(
    recordings: dict[Path, Recording],
    problems: dict[Path, str],
    params: SpectrogramParams = DEFAULT,
):
    """The browser; where nobody can click, the view of the first recording.

    Args:
        recordings: facts of usable files; their samples are not needed.
        problems: the reason of each file that cannot be used.
    """
    from IPython.display import HTML

    if is_live():
        return CorpusBrowser(recordings, problems, params).widget
    return HTML(view(next(iter(recordings)), params))


def view(path: Path, params: SpectrogramParams = DEFAULT) -> str:
    """HTML of one recording: three plots under a playhead, players, and facts.

    All recordings are played at one level, that of prepared speech, so that none is louder than
    another; where this would cut off peaks, it is lowered, and a line shows by how much.

    Raises:
        AudioError: it cannot be used; the message is the reason.
    """
    recording, title = load_audio(path, params.sample_rate), path.name
    sound = clean(recording.samples, params.sample_rate)
    again = image_to_audio(audio_to_image(sound, params), params)
    channels = "mono" if recording.channels == 1 else f"{recording.channels} channels"
    facts = [
        f"length: {recording.seconds:.2f} s, {len(sound) / params.sample_rate:.2f} s trimmed",
        f"in the file: {recording.source_rate} Hz, {channels}, {recording.level_db:.0f} dBFS"
        + (", clipped" if recording.clipped else ""),
    ]
    peak = float(max(1, np.abs(sound).max(), np.abs(again).max()))
    if peak > 1:
        facts.append(f"played: {20 * np.log10(peak):.1f} dB softer than others, for its peaks")
    drawn = figure_img(waveform_stft_mel(sound, params, title), f"three views of {title}")
    return (
        plot_player(drawn, sound / peak, params.sample_rate, title, VIEWS_SPAN)
        + "<p>resynthesized from the mel-spectrogram</p>"
        + player(f"{title}, resynthesized", again / peak, params.sample_rate)
        + f"<ul>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul>"
    )


def add_own(name: str, content: bytes) -> Path:
    """Save a recording in `data/corpora/own/`; another one of the same name stays beside it.

    Raises:
        AudioError: its ending is not that of audio.
    """
    path = Path(name)
    if path.suffix.lower() not in ENDINGS:
        raise AudioError(f"{name} does not end like audio; needed: {' '.join(sorted(ENDINGS))}")
    path = make_folder(data_folder() / OWN) / path.name.lstrip(".")
    if path.exists() and path.read_bytes() != content:
        suffix = hashlib.sha256(content).hexdigest()[:8]
        path = path.with_name(f"{path.stem}-{suffix}{path.suffix}")
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path


class CorpusBrowser:
    """The controls of `browse`; `widget` shows them."""

    def __init__(self, recordings, problems, params):
        self.recordings, self.problems, self.params = dict(recordings), dict(problems), params
        longest = float(np.ceil(max((r.seconds for r in recordings.values()), default=1.0)))
        self.shown = choice("show", [ALL, USABLE, CLIPPED, PROBLEM])
        ends = 0, longest
        self.length = slider("seconds", ends, *ends, continuous_update=False)
        self.file = choice("file", [], layout={"width": "32em"})
        self.previous = button("previous", lambda: self.move(-1), icon="step-backward")
        self.next = button("next", lambda: self.move(1), icon="step-forward")
        self.upload = ipywidgets.FileUpload(
            description="upload", multiple=True, accept="audio/*,.g722"
        )
        self.status, self.page, self.opened = Status(), ipywidgets.HTML(), None
        filters = row(self.shown, self.length)
        files = row(self.file, self.previous, self.next, self.upload)
        self.widget = ipywidgets.VBox([filters, files, self.status, self.page])
        for part in (self.shown, self.length):
            part.observe(lambda _: self.filter(), "value")
        self.file.observe(self.open, "value")
        self.upload.observe(self.add, "value")
        self.filter()

    def filter(self, chosen: Path | None = None) -> None:
        """List the files that match; open the chosen one, else the one before, else the first."""
        shown, (shortest, longest) = self.shown.value, self.length.value
        files = [
            path
            for path, recording in self.recordings.items()
            if shown in (ALL, USABLE) or (shown == CLIPPED and recording.clipped)
            if shortest <= recording.seconds <= longest
        ]
        files = sorted([*files, *(self.problems if shown in (ALL, PROBLEM) else ())])
        wanted = chosen or self.file.value
        self.file.unobserve(self.open, "value")  # new options choose the first for a moment
        top = os.path.commonpath([path.parent for path in files]) if files else None
        self.file.options = [(str(path.relative_to(top)), path) for path in files]
        self.file.value = wanted if wanted in files else next(iter(files), None)
        self.file.observe(self.open, "value")
        if self.file.value != self.opened:
            self.open()
        if not files:
            self.status.show("no recording matches; widen the filter")

    def open(self, _=None) -> None:
        """Show the chosen file, or the reason why it cannot be used."""
        self.opened = path = self.file.value
        if path in self.recordings:
            with self.status.busy(f"opening {path.name} ..."):
                self.page.value = view(path, self.params)
            return
        self.page.value = ""
        if path:
            self.status.show(f"{path.name} cannot be used: {self.problems[path]}")

    def move(self, by: int) -> None:
        """To the next file or the previous one; around at the ends."""
        if files := [path for _, path in self.file.options]:
            self.file.value = files[(files.index(self.file.value) + by) % len(files)]

    def add(self, _=None) -> None:
        """Save what was uploaded, and open the last of it; show what could not be saved or used."""
        refused = []
        for file in self.upload.value:
            with self.status.busy(f"reading {file['name']} ...", self.upload):
                path = add_own(file["name"], bytes(file["content"]))
                try:
                    recording = load_audio(path, self.params.sample_rate)
                    self.recordings[path] = replace(recording, samples=None)
                    self.length.max = max(self.length.max, float(np.ceil(recording.seconds)))
                except AudioError as error:
                    self.problems[path] = str(error)
                self.shown.value, self.length.value = ALL, (0, self.length.max)
                self.filter(path)
            refused += [self.status.text] if self.status.text else []
        if refused:
            self.status.show("; ".join(refused))
