"""Recordings whose phones are known: sentences of the sample corpus, and tones with TextGrids."""

import csv
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cases import CORPUS, RATE, tone, write

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.text.alignment import Alignment, align
from ddpmlib.text.normalisation import BREAKS, spoken_words

# Phones that a mel-spectrogram shows: a tone each. They are names of English phones.
HERTZ = {"AA": 300.0, "IY": 1900.0, "S": 4800.0}
Labels = Sequence[tuple[float, float, str]]  # start, end and name of intervals


@functools.cache
def texts() -> dict[str, str]:
    """Of the sample corpus, by file."""
    with (CORPUS / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        return {row["file"]: row["text"] for row in csv.DictReader(stream)}


def words_of(file: str) -> list[str]:
    """Of a sentence, without breaks."""
    return [word for word in spoken_words(texts()[file]) if word not in BREAKS]


@functools.cache
def sound_of(file: str) -> np.ndarray:
    """A cleaned recording of the sample corpus."""
    return clean(load_audio(CORPUS / file, RATE).samples, RATE)


@functools.cache
def aligned(count: int) -> tuple[Alignment, ...]:
    """Alignments of the first sentences of the sample corpus."""
    return tuple(align(sound_of(file), words_of(file)) for file in sorted(texts())[:count])


def write_textgrid(path: Path, seconds: float, short: bool = False, **tiers: Labels) -> Path:
    """A TextGrid as Praat writes it, by hand, in its long or short format."""
    named = [("xmin", 0), ("xmax", seconds)]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += [f"{value}" if short else f"{name} = {value} " for name, value in named]
    lines += ["<exists>", f"{len(tiers)}"]
    if not short:
        lines[-2:] = ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for i, (name, intervals) in enumerate(tiers.items(), 1):
        if short:
            lines += ['"IntervalTier"', f'"{name}"', "0", f"{seconds}", f"{len(intervals)}"]
            lines += [f'{start}\n{end}\n"{label}"' for start, end, label in intervals]
            continue
        lines += [
            f"    item [{i}]:",
            '        class = "IntervalTier" ',
            f'        name = "{name}" ',
        ]
        lines += ["        xmin = 0 ", f"        xmax = {seconds} "]
        lines += [f"        intervals: size = {len(intervals)} "]
        for j, (start, end, label) in enumerate(intervals, 1):
            lines += [f"        intervals [{j}]:", f"            xmin = {start} "]
            lines += [f"            xmax = {end} ", f'            text = "{label}" ']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_tones(
    folder: Path, name: str, seed: int, rate: int = RATE, count: int = 8, grid: bool = True
) -> list[tuple[float, float, str]]:
    """NAME.wav, tones in an order drawn from the seed between pauses, and NAME.TextGrid.

    Returns:
        Start, end and name of all phones; a pause has none.
    """
    random = np.random.default_rng(seed)
    names = ["", *random.choice([*HERTZ, ""], count), ""]
    names = [n for n, before in zip(names, [None, *names], strict=False) if n != before]
    samples = [round(random.uniform(0.08, 0.3) * rate) for _ in names]
    sounds = [
        tone(HERTZ[n], s / rate, rate) if n else np.zeros(s)
        for n, s in zip(names, samples, strict=True)
    ]
    write(folder / f"{name}.wav", np.concatenate(sounds), rate)
    ends = np.cumsum(samples) / rate
    intervals = list(zip([0.0, *ends[:-1].tolist()], ends.tolist(), names, strict=True))
    if grid:
        write_textgrid(folder / f"{name}.TextGrid", intervals[-1][1], phones=intervals)
    return intervals
