"""Preparation: minutes of audio a second of one core, beside the original project's way."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
from contenders import baseline_preparation, phase_vocoder
from report import Row
from speech import RATE, sentences
from timing import Work, ratio, take_turns

from ddpmlib.audio.recording import find_audio
from ddpmlib.data.preparation import AUGMENTATIONS, Preparation, prepare
from ddpmlib.metrics.speech import score_clips
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.storage.paths import data_folder
from ddpmlib.vocoder.waveform import image_to_audio

SENTENCES, ROUNDS, CLIPS = 24, 5, 4
GOALS = {False: 5, True: 3}


def ours(folder: Path, augment: bool) -> Work:
    """`prepare` on one core, into an empty folder each time."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as into:
            prepare(folder, into, Preparation(augment=augment, validation_share=0), workers=1)

    return work


def theirs(folder: Path, augment: bool) -> Work:
    """The plain loop of `contenders`."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as into:
            baseline_preparation(folder, Path(into), augment)

    return work


def measure() -> list[Row]:
    """Without and with the original project's twenty augmentations."""
    rows = [quality()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        minutes = _some_sentences(folder)
        for augment, goal in GOALS.items():
            contenders = {"ours": (ours, folder, augment), "theirs": (theirs, folder, augment)}
            turns = take_turns(contenders, ROUNDS, one_core=True)
            mine, other = turns["ours"], turns["theirs"]
            rows.append(
                Row(
                    work=f"preparation, {'21 copies' if augment else 'one copy'} of each recording",
                    ours=minutes / mine.median,
                    unit="minutes of audio a second of one core",
                    beside="the original project's way: a loop with librosa",
                    theirs=minutes / other.median,
                    ratio=ratio(other, mine),
                    goal=goal,
                    note="ours also checks, trims, levels, hashes and writes a manifest",
                )
            )
    return rows


def quality() -> Row:
    """What is left of the sound of a copy: both kinds as mel-spectrograms and back."""
    found = {"ours": [], "theirs": []}
    sounds, corpus = sentences(CLIPS)
    for sound in sounds:
        for change in AUGMENTATIONS.values():
            copy = audio_to_image(phase_vocoder(sound, **change), DEFAULT)
            found["theirs"].append(image_to_audio(copy, DEFAULT))
            copy = audio_to_image(sound, DEFAULT, **change)
            found["ours"].append(image_to_audio(copy, DEFAULT))
    ours, theirs = (
        float(np.mean([scores.dnsmos for scores in score_clips(f, RATE)])) for f in found.values()
    )
    label = "quality of the 20 copies, as mel-spectrograms and back"
    note = f"{CLIPS} sentences of {corpus}"
    return Row(label, ours, "DNSMOS", "librosa's phase vocoder", theirs, note=note)


def _some_sentences(folder: Path) -> float:
    """Sentences of the sample corpus as wav; returns their minutes."""
    seconds = 0.0
    for path in find_audio(data_folder() / "sample_corpus")[:SENTENCES]:
        samples, rate = soundfile.read(path)
        soundfile.write(folder / f"{path.stem}.wav", samples, rate)
        seconds += len(samples) / rate
    return seconds / 60
