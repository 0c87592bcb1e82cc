"""A blind listening test: trials in random order, answers in a table, a summary with intervals."""

import csv
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import gain, level
from ddpmlib.metrics.statistics import Estimate
from ddpmlib.storage.atomic import atomic_write, make_folder

SPEECH, NATURAL, PREFERENCE = "speech or not", "natural, 1 to 5", "which sounds more natural"
QUESTIONS = {  # question -> possible answers, and the numbers they are written down as
    SPEECH: {"speech": 1, "not speech": 0},
    NATURAL: {"1 bad": 1, "2 poor": 2, "3 fair": 3, "4 good": 4, "5 excellent": 5},  # MOS
    PREFERENCE: {"the first": 1, "the second": 0},
}
LISTENERS = 3  # from so many on, an interval is over listeners, not over answers


@dataclass(frozen=True)
class Trial:
    """What is played at once: a clip, or two of them."""

    kind: str
    clip: int  # of this kind
    other: str = ""  # kind of the second clip
    other_clip: int | None = None


@dataclass(frozen=True)
class Answer:
    """A line of the table; the columns of `Trial` stay empty in the file until the test is over."""

    listener: str
    question: str
    begun: str  # when, which tells two listeners of one name apart
    trial: int  # counted from 1, in the order played
    answer: int
    kind: str = ""
    clip: int | None = None
    other: str = ""
    other_clip: int | None = None


class ListeningTest:
    """One listener's trials and answers.

    Args:
        clips: kind -> (n,) samples of each; all are brought to one level, and none to clipping.
            Their lengths stay: unequal ones would give the kinds away.
        question: one of QUESTIONS.
        listener: a name, of letters, digits, blanks and hyphens; it gives the file its name, and
            the trials their order.
        folder: of the tables, one for each listener and question.

    Raises:
        ValueError: unknown question, a name that cannot be a file, too few kinds.
        FileExistsError: this listener has answered this question to the end.
    """

    def __init__(
        self,
        clips: dict[str, Sequence[np.ndarray]],
        sample_rate: int,
        question: str,
        listener: str,
        folder: str | Path,
    ):
        if question not in QUESTIONS:
            raise ValueError(f"question is {question!r}; needed: {', '.join(QUESTIONS)}")
        if not re.fullmatch(r"[^\W_]([^\W_]|[ -]){0,40}", listener):
            raise ValueError(f"listener is {listener!r}; needed: a name of letters and digits")
        if len(clips) < 2 or not all(len(sounds) for sounds in clips.values()):
            raise ValueError(f"kinds are {', '.join(clips) or 'none'}; needed: two, with clips")
        self.question, self.listener, self.sample_rate = question, listener, sample_rate
        stem = f"{listener} {question}".replace(",", "").replace(" ", "_")
        self.path = make_folder(folder) / f"{stem}.csv"
        if self.path.exists() and any(answer.kind for answer in read_answers(self.path)):
            raise FileExistsError(f"{listener} has answered this in {self.path}; take another name")
        even = {k: [level(s, sample_rate) for s in sounds] for k, sounds in clips.items()}
        loudest = gain([sound for sounds in even.values() for sound in sounds])
        self.clips = {k: [loudest * s for s in sounds] for k, sounds in even.items()}
        self.trials = self._shuffled()
        self.begun = datetime.now().isoformat()
        self.answers: list[Answer] = []

    @property
    def is_over(self) -> bool:
        """Whether every trial has its answer."""
        return len(self.answers) == len(self.trials)

    def sounds(self) -> list[np.ndarray]:
        """What to play now: one sound, or two."""
        trial = self.trials[len(self.answers)]
        first = self.clips[trial.kind][trial.clip]
        return [first, self.clips[trial.other][trial.other_clip]] if trial.other else [first]

    def answer(self, label: str) -> None:
        """Write down the answer to this trial, and go on to the next.

        The file is whole after every answer; which is which comes into it with the last one.

        Raises:
            ValueError: not an answer to this question, or the test is over.
            FileExistsError: meanwhile another listener of this name began.
            OSError: it cannot be written; then it does not count either.
        """
        known = QUESTIONS[self.question]
        if label not in known:
            raise ValueError(f"answer is {label!r}; needed: {', '.join(known)}")
        if self.is_over:
            raise ValueError(f"trial is {len(self.trials) + 1}; there are {len(self.trials)}")
        if self.answers and (theirs := read_answers(self.path)[0].begun) != self.begun:
            raise FileExistsError(
                f"another {self.listener} began at {theirs} and has the file; take another name"
            )
        given = (self.begun, len(self.answers) + 1, known[label])
        answers = [*self.answers, Answer(self.listener, self.question, *given)]
        if len(answers) == len(self.trials):
            pairs = zip(answers, self.trials, strict=True)
            answers = [replace(answer, **asdict(trial)) for answer, trial in pairs]
        with (
            atomic_write(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, [field.name for field in fields(Answer)])
            writer.writeheader()
            writer.writerows(map(asdict, answers))
        self.answers = answers

    def _shuffled(self) -> list[Trial]:
        """Another order for each listener; of pairs, each with either kind first as often."""
        order = np.random.default_rng([*self.listener.encode(), len(self.question)])
        if self.question == PREFERENCE:
            counts = {kind: len(sounds) for kind, sounds in self.clips.items()}
            trials = [
                Trial(a, int(order.integers(counts[a])), b, int(order.integers(counts[b])))
                for a in counts
                for b in counts
                if a != b
            ]
        else:
            trials = [Trial(k, i) for k, sounds in self.clips.items() for i in range(len(sounds))]
        return [trials[i] for i in order.permutation(len(trials))]


def read_answers(path: Path) -> list[Answer]:
    """The answers in a table, or in all tables of a folder; unfinished ones have no kinds."""
    answers = []
    for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                whole = {n: int(row[n]) if row[n] else None for n in ("clip", "other_clip")}
                numbers = {n: int(row[n]) for n in ("trial", "answer")}
                answers.append(Answer(**row | numbers | whole))
    return answers


def summary(answers: Sequence[Answer], question: str) -> dict[str, tuple[Estimate, int]]:
    """Of each kind: its mean answer with an interval, and how many answers it had.

    Of pairs, the share of those in which the kind was preferred.
    """
    ratings: dict[str, list[tuple[str, float]]] = {}
    for answer in answers:
        if answer.question == question and answer.kind:
            ratings.setdefault(answer.kind, []).append((answer.listener, answer.answer))
            if answer.other:
                ratings.setdefault(answer.other, []).append((answer.listener, 1 - answer.answer))
    values = QUESTIONS[question].values()
    bounds = min(values), max(values)
    return {kind: (interval(given, bounds), len(given)) for kind, given in ratings.items()}


def interval(ratings: Sequence[tuple[str, float]], bounds: tuple[int, int]) -> Estimate:
    """Mean of (listener, rating), with its 95 % interval.

    Ratings of one listener are not independent. From LISTENERS people on, Student's t over their
    means; with fewer over the ratings, which then says nothing of other people, and for shares
    Wilson's interval (1927). A rating is an opinion rounded to a whole number: that adds a variance
    of 1/12, so that an interval does not shrink to nothing where all agree.
    """
    from scipy.stats import binomtest, t

    listeners = {name for name, _ in ratings}
    values = np.array([value for _, value in ratings], float)
    mean = float(values.mean())
    if len(listeners) >= LISTENERS:
        values = np.array([np.mean([v for n, v in ratings if n == name]) for name in listeners])
    elif bounds == (0, 1):
        low, high = binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
        return Estimate(mean, float(low), float(high))
    if len(values) < 2:
        return Estimate(mean, *map(float, bounds))
    variance = values.var(ddof=1) + len(values) / len(ratings) / 12
    half = float(t.ppf(0.975, len(values) - 1) * (variance / len(values)) ** 0.5)
    return Estimate(mean, max(bounds[0], mean - half), min(bounds[1], mean + half))
