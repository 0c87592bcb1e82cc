"""The booth in which a blind listening test is taken."""

import html
import time
from collections.abc import Sequence
from pathlib import Path

import ipywidgets
import numpy as np

from ddpmlib.blind import QUESTIONS, SPEECH, BlindTest, read_answers, summary
from ddpmlib.cards import player
from ddpmlib.storage import data_folder
from ddpmlib.widgets import Status, is_live, row

FOLDER = "listening"  # in data/
SOONEST = 0.3  # seconds after which an answer counts; a second click came with the first


def listening_test(clips: dict[str, Sequence[np.ndarray]], sample_rate: int, name: str):
    """The test, to be taken here; without anybody to answer, what was answered before.

    Args:
        clips: kind -> (n,) sounds at `sample_rate` Hz.
        name: of the folder of the answers, in data/listening/: one for each model that is heard.
    """
    from IPython.display import HTML

    folder = data_folder() / FOLDER / name
    if is_live():
        return Booth(clips, sample_rate, folder).widget
    return HTML("".join(results(folder, question) for question in QUESTIONS))


def results(folder: Path, question: str) -> str:
    """HTML of what all listeners answered, for each kind of sound."""
    answers = read_answers(folder) if folder.is_dir() else []
    if not (found := summary(answers, question)):
        return f"<p>{html.escape(question)}: nobody has finished this test yet</p>"
    people = len({a.listener for a in answers if a.question == question and a.kind})
    lines = [("kind", "mean, and 95 % interval", "answers")]
    lines += [(html.escape(kind), str(value), str(n)) for kind, (value, n) in found.items()]
    rows = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in line)}</tr>" for line in lines)
    listeners = "one listener" if people == 1 else f"{people} listeners"
    return f"<p>{html.escape(question)}, {listeners}</p><table>{rows}</table>"


class Booth:
    """The controls of `listening_test`; `widget` shows them."""

    def __init__(self, clips: dict[str, Sequence[np.ndarray]], sample_rate: int, folder: Path):
        self.clips, self.sample_rate, self.folder = clips, sample_rate, folder
        self.test: BlindTest | None = None
        self.listener = ipywidgets.Text(description="your name", placeholder="letters and digits")
        self.question = ipywidgets.Dropdown(
            description="question", options=list(QUESTIONS), value=SPEECH
        )
        self.begin = ipywidgets.Button(description="begin", button_style="primary")
        self.status, self.page, self.buttons = Status(), ipywidgets.HTML(), row()
        self.widget = ipywidgets.VBox(
            [
                row(self.listener, self.question, self.begin),
                self.page,
                self.buttons,
                self.status,
            ]
        )
        self.begin.on_click(lambda _: self.start())

    def start(self) -> None:
        """Begin with the first trial."""
        with self.status.at_work("preparing ...", self.begin):
            test = BlindTest(
                self.clips,
                self.sample_rate,
                self.question.value,
                self.listener.value.strip(),
                self.folder,
            )
            self.test = test
            self.buttons.children = [self._button(label) for label in QUESTIONS[test.question]]
            self.ask(autoplay=False)

    def _button(self, label: str) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label)
        button.on_click(lambda _: self.answer(label))
        return button

    def ask(self, autoplay: bool = True) -> None:
        """Play the next trial; nothing in the page tells its kind."""
        test, sounds = self.test, self.test.sounds()
        names = ["sound"] if len(sounds) == 1 else ["first sound", "second sound"]
        players = "".join(
            f"<p>{name}</p>{player(name, sound, self.sample_rate)}"
            for name, sound in zip(names, sounds, strict=True)
        )
        if autoplay and len(sounds) == 1:
            players = players.replace("<audio ", "<audio autoplay ")
        number = len(test.answers) + 1
        head = f"<h4>{html.escape(test.question)}: {number} of {len(test.trials)}</h4>"
        self.page.value = head + players
        self.asked = time.monotonic()

    def answer(self, label: str) -> None:
        """Write it down; after the last one, show what was what."""
        if self.test.is_over or time.monotonic() - self.asked < SOONEST:
            return
        with self.status.at_work(""):
            self.test.answer(label)
            if self.test.is_over:
                self.buttons.children = ()
                self.page.value = results(self.folder, self.test.question)
                self.status.say(f"thank you; your answers are in {self.test.path}")
            else:
                self.ask()
