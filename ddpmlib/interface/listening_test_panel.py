"""A panel in which a blind listening test is taken."""

import html
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ipywidgets
import numpy as np

from ddpmlib.interface.controls import Status, button, choice, control, is_live, row
from ddpmlib.interface.players import player, table
from ddpmlib.metrics.listening_test import QUESTIONS, SPEECH, ListeningTest, read_answers, summary
from ddpmlib.storage.paths import data_folder

FOLDER = "listening"  # in data/
SOONEST = 0.3  # seconds after which an answer counts; sooner, it is the second of a double click


def open_listening_test(clips: dict[str, Sequence[np.ndarray]], sample_rate: int, name: str):
    """The test, to be taken here; where nobody can answer, earlier results.

    Args:
        clips: kind -> (n,) sounds at `sample_rate` Hz.
        name: of the folder of answers in data/listening/, one for each model that is tested.
    """
    from IPython.display import HTML

    folder = data_folder() / FOLDER / name
    if is_live():
        return ListeningTestPanel(clips, sample_rate, folder).widget
    return HTML("".join(results(folder, question) for question in QUESTIONS))


def results(folder: Path, question: str) -> str:
    """HTML of the answers of all listeners, for each kind of sound."""
    answers = read_answers(folder) if folder.is_dir() else []
    if not (found := summary(answers, question)):
        return f"<p>{html.escape(question)}: nobody has finished this test yet</p>"
    people = len({a.listener for a in answers if a.question == question and a.kind})
    listeners = "one listener" if people == 1 else f"{people} listeners"
    rows = [(html.escape(kind), str(value), str(n)) for kind, (value, n) in found.items()]
    rows.insert(0, ("kind", "mean, and 95 % interval", "answers"))
    return f"<p>{html.escape(question)}, {listeners}</p>{table(rows)}"


class ListeningTestPanel:
    """The controls of `open_listening_test`; `widget` shows them."""

    def __init__(self, clips: dict[str, Sequence[np.ndarray]], sample_rate: int, folder: Path):
        self.clips, self.sample_rate, self.folder = clips, sample_rate, folder
        self.test: ListeningTest | None = None
        self.listener = control(ipywidgets.Text, "your name", placeholder="letters and digits")
        self.question = choice("question", QUESTIONS, value=SPEECH)
        self.begin = button("begin", self.start, button_style="primary")
        self.status, self.page, self.buttons = Status(), ipywidgets.HTML(), row()
        first = row(self.listener, self.question, self.begin)
        self.widget = ipywidgets.VBox([first, self.page, self.buttons, self.status])

    def start(self) -> None:
        """Begin with the first trial."""
        with self.status.busy("preparing ...", self.begin):
            question, listener = self.question.value, self.listener.value.strip()
            given = self.clips, self.sample_rate, question, listener, self.folder
            self.test = ListeningTest(*given)
            self.buttons.children = [
                button(label, partial(self.answer, label)) for label in QUESTIONS[question]
            ]
            self.show_trial(autoplay=False)

    def show_trial(self, autoplay: bool = True) -> None:
        """Players of the next trial; nothing in the page shows its kind."""
        test, sounds = self.test, self.test.sounds()
        names = ["sound"] if len(sounds) == 1 else ["first sound", "second sound"]
        parts = [
            f"<p>{name}</p>{player(name, sound, self.sample_rate)}"
            for name, sound in zip(names, sounds, strict=True)
        ]
        if autoplay and len(sounds) == 1:
            parts = [parts[0].replace("<audio ", "<audio autoplay ")]
        number = f"{len(test.answers) + 1} of {len(test.trials)}"
        self.page.value = f"<h4>{html.escape(test.question)}: {number}</h4>{''.join(parts)}"
        self.shown = time.monotonic()

    def answer(self, label: str) -> None:
        """Write the answer down; after the last one, show the results."""
        if self.test.is_over or time.monotonic() - self.shown < SOONEST:
            return
        with self.status.busy(""):
            self.test.answer(label)
            if self.test.is_over:
                self.buttons.children = ()
                self.page.value = results(self.folder, self.test.question)
                self.status.show(f"thank you; your answers are in {self.test.path}")
            else:
                self.show_trial()
