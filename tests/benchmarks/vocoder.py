"""From mel-spectrogram to waveform: real-time factor and quality, beside librosa's two ways."""

import numpy as np
from contenders import librosa_vocoder, librosa_vocoder_converged
from report import Row
from speech import RATE, sentences
from timing import Work, ratio, take_turns

from ddpmlib.metrics.speech import score_clips
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.vocoder.waveform import image_to_audio

ROUNDS, CLIPS, GOAL = 5, 8, 10
AS_IT_IS, CONVERGED = "librosa mel_to_audio", "librosa, its solver given a larger input"
WAYS = {"ours": image_to_audio, AS_IT_IS: librosa_vocoder, CONVERGED: librosa_vocoder_converged}


def all_to_audio(way: str, images: list[np.ndarray]) -> Work:
    """All mel-spectrograms to waveforms."""
    return lambda: [WAYS[way](image, DEFAULT) for image in images]


def measure() -> list[Row]:
    """Speed and DNSMOS of both."""
    sounds, corpus = sentences(CLIPS)
    images, audio = [audio_to_image(sound, DEFAULT) for sound in sounds], CLIPS * DEFAULT.seconds
    turns = take_turns({way: (all_to_audio, way, images) for way in WAYS}, ROUNDS)
    quality = {
        way: np.mean([clip.dnsmos for clip in score_clips([f(i, DEFAULT) for i in images], RATE)])
        for way, f in WAYS.items()
    }
    speed = {way: audio / turn.median for way, turn in turns.items()}
    work, unit, rows = "mel-spectrogram to waveform", "seconds of audio a second", []
    for beside in (AS_IT_IS, CONVERGED):
        faster = ratio(turns[beside], turns["ours"])
        rows += [
            Row(work, speed["ours"], unit, beside, speed[beside], faster, GOAL),
            Row("quality", quality["ours"], "DNSMOS", beside, quality[beside], note=corpus),
        ]
    return rows
