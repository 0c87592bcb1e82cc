"""From a picture to sound: real-time factor and quality, beside librosa's."""

import numpy as np
from contenders import librosa_inversion
from report import Row
from speech import RATE, sentences
from timing import Work, ratio, take_turns

from ddpmlib.judge import hear
from ddpmlib.spectrogram import DEFAULT, audio_to_image, image_to_audio

ROUNDS, CLIPS, GOAL = 5, 8, 10
WAYS = {"ours": image_to_audio, "theirs": librosa_inversion}


def invert(way: str, images: list[np.ndarray]) -> Work:
    """All pictures to sound."""
    return lambda: [WAYS[way](image, DEFAULT) for image in images]


def measure() -> list[Row]:
    """Speed of both, and what DNSMOS gives them."""
    sounds, corpus = sentences(CLIPS)
    images, audio = [audio_to_image(sound, DEFAULT) for sound in sounds], CLIPS * DEFAULT.seconds
    turns = take_turns({way: (invert, way, images) for way in WAYS}, ROUNDS)
    quality = {
        way: np.mean([clip.dnsmos for clip in hear([f(i, DEFAULT) for i in images], RATE)])
        for way, f in WAYS.items()
    }
    speed = {way: audio / turn.median for way, turn in turns.items()}
    beside, rate = "librosa mel_to_audio", ratio(turns["theirs"], turns["ours"])
    unit = "seconds of audio a second"
    return [
        Row("inversion", speed["ours"], unit, beside, speed["theirs"], rate, GOAL),
        Row("quality", quality["ours"], "DNSMOS", beside, quality["theirs"], note=corpus),
    ]
