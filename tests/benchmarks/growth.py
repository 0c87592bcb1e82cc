"""How it grows: time and memory of preparation, combining and an epoch, for 1 to 64 corpora."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from report import FOLDER, Row
from timing import Turns, Work, take_turns

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.data.build import combine
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.models.unet import UNetConfig
from ddpmlib.training.config import TrainConfig
from ddpmlib.training.loop import train

TIMES, BASE, SECONDS, RATE = (1, 4, 16, 64), 32, 4.0, 16_000  # recordings, and their length
ROUNDS, HOW = 3, Preparation(validation_share=0)
NETWORK = UNetConfig(width=8)  # small, so that what is not the network weighs more


def preparing(folder: Path) -> Work:
    """One core, into an empty folder each time."""

    def work() -> None:
        shutil.rmtree(folder / "arrays", ignore_errors=True)
        prepare(folder / "in", folder / "arrays", HOW, workers=1)

    prepare(folder / "warm", folder / "of_warm", HOW, workers=1)
    return work


def combining(folder: Path) -> Work:
    """Into one .npy."""
    entries = prepare(folder / "in", folder / "arrays", HOW, workers=1)
    combine(prepare(folder / "warm", folder / "of_warm", HOW, workers=1), folder / "of_warm", HOW)
    return lambda: combine(entries, folder / "arrays", HOW)


def an_epoch(folder: Path) -> Work:
    """Of a small network."""
    config = TrainConfig(epochs=1, num_samples=0, device="cpu")

    def run(name: str) -> None:
        path = folder / f"{name}.npy"
        data, nothing = SpectrogramSet(path, None), SpectrogramSet(path, "validation")
        shutil.rmtree(folder / "run", ignore_errors=True)
        train(config, data, nothing, folder / "run", NETWORK)

    run("of_warm")
    return lambda: run("arrays")


WORKS = {"preparation": preparing, "combining": combining, "an epoch": an_epoch}


def measure() -> list[Row]:
    """Medians for each size; what the first call of a process costs does not count."""
    found: dict[str, list[Turns]] = {name: [] for name in WORKS}
    for times in TIMES:
        with tempfile.TemporaryDirectory() as folder:
            synthetic_corpus(Path(folder) / "in", BASE * times)
            synthetic_corpus(Path(folder) / "warm", BASE)
            for name, work in WORKS.items():
                turns = take_turns({name: (work, Path(folder))}, ROUNDS, warm_up=0)
                found[name].append(turns[name])
    plot(found)
    return [row for name, turns in found.items() for row in rows(name, turns)]


def rows(name: str, turns: list[Turns]) -> list[Row]:
    """The slope between the two largest corpora on logarithmic axes, and megabytes."""
    seconds, memory = [t.median for t in turns], [1000 * (t.gigabytes - t.idle) for t in turns]
    sizes = f"for {', '.join(str(BASE * times) for times in TIMES)} recordings"
    note = f"{', '.join(f'{s:.2g}' for s in seconds)} s {sizes}"
    used = f"{', '.join(f'{m:.0f}' for m in memory)} MB {sizes}"
    used += "; of an epoch, pages of the mapped .npy count, which are let go when memory is wanted"
    return [
        Row(f"growth of time: {name}", slope(seconds), "(1 is linear)", note=note),
        Row(f"growth of memory: {name}", memory[-1] - memory[0], "MB", note=used),
    ]


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
    """Between the last two, on logarithmic axes."""
    return float(np.log(values[-1] / values[-2]) / np.log(TIMES[-1] / TIMES[-2]))


def plot(found: dict[str, list[Turns]]) -> None:
    """Both on logarithmic axes, with a dotted line for what is linear."""
    import matplotlib.pyplot as plt

    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.5), layout="tight")
    recordings = np.array(TIMES) * BASE
    for name, turns in found.items():
        time.loglog(recordings, [t.median for t in turns], "o-", label=name)
        time.loglog(recordings, turns[0].median * np.array(TIMES), "k:", linewidth=0.7)
        memory.loglog(recordings, [t.gigabytes for t in turns], "o-", label=name)
    time.set(xlabel="recordings of 4 s", ylabel="seconds", title="time (dotted: linear)")
    memory.set(xlabel="recordings of 4 s", ylabel="GB of the process", title="memory")
    memory.set_ylim(0.1, 10)
    time.legend()
    figure.savefig(FOLDER / "growth.png", dpi=100)
