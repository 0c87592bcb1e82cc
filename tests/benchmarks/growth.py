"""How it grows: time and memory of preparation, combining and an epoch, for 1 to 64 corpora."""

import os
import tempfile
from pathlib import Path

import numpy as np
from report import FOLDER, Row
from timing import Turns, Work, take_turns

from ddpmlib.audio import save_wav
from ddpmlib.config import TrainConfig
from ddpmlib.dataset import SpectrogramSet, combine
from ddpmlib.preparation import Preparation, prepare
from ddpmlib.training import train

TIMES, BASE, SECONDS, RATE = (1, 4, 16, 64), 32, 4.5, 16_000  # recordings, and their length
PICTURE = FOLDER / "growth.png"
HOW = Preparation(validation_share=0)


def preparing(folder: Path) -> Work:
    """One core; arrays beside the recordings."""
    return lambda: prepare(folder / "in", folder / "arrays", HOW, workers=1)


def combining(folder: Path) -> Work:
    """Into one .npy."""
    entries = prepare(folder / "in", folder / "arrays", HOW, workers=1)
    return lambda: combine(entries, folder / "arrays", HOW)


def an_epoch(folder: Path) -> Work:
    """Of the default network."""
    data = SpectrogramSet(folder / "arrays.npy", None)
    nothing = SpectrogramSet(folder / "arrays.npy", "validation")
    config = TrainConfig(epochs=1, num_samples=0)
    return lambda: train(config, data, nothing, folder / "run")


WORKS = {"preparation": preparing, "combining": combining, "an epoch": an_epoch}


def measure() -> list[Row]:
    """Each once for each size; slopes on a log-log plot: 1 is linear, 0 is flat."""
    os.environ["TQDM_DISABLE"] = "1"
    found: dict[str, list[Turns]] = {name: [] for name in WORKS}
    for times in TIMES:
        with tempfile.TemporaryDirectory() as folder:
            synthetic_corpus(Path(folder) / "in", BASE * times)
            for name, work in WORKS.items():
                once = take_turns({name: (work, Path(folder))}, rounds=1, warm_up=0)
                found[name].append(once[name])
    plot(found)
    rows = []
    for name, turns in found.items():
        seconds, memory = ([t.median for t in turns], [t.gigabytes for t in turns])
        note = f"{', '.join(f'{s:.2g} s' for s in seconds)} for {TIMES} times {BASE} recordings"
        rows.append(Row(f"growth of time: {name}", slope(seconds), "(1 is linear)", note=note))
        note = f"{', '.join(f'{m:.2f} GB' for m in memory)} for the whole process"
        rows.append(Row(f"growth of memory: {name}", slope(memory), "(0 is flat)", note=note))
    return rows


def synthetic_corpus(folder: Path, count: int) -> None:
    """Harmonics that change slowly, each recording another one."""
    folder.mkdir()
    time = np.arange(round(SECONDS * RATE)) / RATE
    for number in range(count):
        pitch = 90 + 60 * np.random.default_rng(number).random()
        phase = 2 * np.pi * pitch * (time + 0.01 * np.sin(2 * np.pi * time))
        sound = sum(np.sin(h * phase) / h for h in range(1, 9))
        save_wav(folder / f"{number:05d}.wav", 0.2 * sound.astype(np.float32), RATE)


def slope(values: list[float]) -> float:
    """Of a straight line through the logarithms."""
    return float(np.polyfit(np.log(TIMES), np.log(values), 1)[0])


def plot(found: dict[str, list[Turns]]) -> None:
    """Both on logarithmic axes, with a dashed line for what is linear."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="tight")
    recordings = np.array(TIMES) * BASE
    for name, turns in found.items():
        axes[0].loglog(recordings, [t.median for t in turns], "o-", label=name)
        axes[1].loglog(recordings, [t.gigabytes for t in turns], "o-", label=name)
        axes[0].loglog(recordings, turns[0].median * np.array(TIMES), "k:", linewidth=0.7)
    axes[0].set(xlabel="recordings of 4.5 s", ylabel="seconds", title="time (dotted: linear)")
    axes[1].set(xlabel="recordings of 4.5 s", ylabel="GB of the process", title="memory")
    axes[1].set_ylim(0.1, 10)
    axes[0].legend()
    figure.savefig(PICTURE, dpi=100)
