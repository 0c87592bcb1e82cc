"""Small trees of the published corpora's layouts: folders, names and text files as published.

    tree = vctk(tmp_path / "vctk")  # or any other of TREES: TREES["timit"](tmp_path / "timit")
    tree.folder, tree.texts, tree.speakers  # by file below the folder, as `find_audio` finds them

The recordings are a dozen short ones: harmonics through three resonances, others in each syllable.
Equal sentences have equal syllables, each speaker another pitch: twins are twins to a metric, too.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from cases import RATE, write

SENTENCES = (
    "The kettle sang before the rain began.",
    "Nobody asked the baker for his name.",
    "A green door stood between two gardens.",
    "We counted seven boats along the shore.",
    "Her brother mended the old clock.",
    "Snow fell on the station roof.",
    "They carried the piano up the stairs.",
    "Every letter came a week too late.",
    "The teacher smiled and closed the window.",
    "Two foxes crossed the empty road.",
    "I left my coat beside the fire.",
    "The market opens when the bells ring.",
)
# What begins, ends or does both with a quote; in tab and pipe lists that is a letter like others.
QUOTED = ('"Come in," said the miller.', 'He whispered: "Not tonight."', '"Where?" or "When?"')


@dataclass(frozen=True)
class Tree:
    """A folder of recordings, and what its publisher says about them, by file below the folder."""

    folder: Path
    texts: dict[str, str] = field(default_factory=dict)
    speakers: dict[str, str] = field(default_factory=dict)

    def put(self, file: str, text: str, speaker: str, rate: int = RATE, **how) -> np.ndarray:
        """Write a recording; `how` goes to `spoken`. Returns its samples."""
        self.texts[file], self.speakers[file] = text, speaker
        samples = spoken(text, speaker, rate, **how)
        write(self.folder / file, samples, rate)
        return samples

    def note(self, file: str, *lines: str) -> None:
        """Write a text file."""
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_text("\n".join(lines) + "\n", "utf-8")


def spoken(text: str, speaker: str, rate: int = RATE, seconds: float = 1.2) -> np.ndarray:
    """(samples,) of peak 0.3: syllables drawn from the text, at a pitch drawn from the speaker."""
    sentence = np.random.default_rng(zlib.crc32(text.encode()))
    voice = np.random.default_rng(zlib.crc32(speaker.encode()))
    hertz, size = voice.uniform(90, 240), voice.uniform(0.9, 1.15)
    time = np.arange(round(seconds * rate)) / rate
    syllable = np.minimum((time / 0.2).astype(int), int(seconds / 0.2))
    resonances = size * sentence.uniform((300, 900, 2200), (800, 2100, 3200), (syllable[-1] + 1, 3))
    contour = hertz * (1 + 0.1 * sentence.standard_normal(len(resonances)))[syllable]
    phase = 2 * np.pi * np.cumsum(contour) / rate
    sound = np.zeros_like(time)
    for harmonic in range(1, int(min(3600, 0.4 * rate) / hertz)):
        near = (harmonic * hertz - resonances) / 90
        sound += (1 / (1 + near**2)).sum(axis=1)[syllable] * np.sin(harmonic * phase)
    sound *= np.sin(np.pi * (time / 0.2 % 1)) ** 0.5
    return 0.3 * sound / np.abs(sound).max()


def vctk(folder: Path) -> Tree:
    """VCTK 0.92: 3 speakers, 2 sentences, 2 microphones; txt/p225/p225_001.txt for both."""
    tree = Tree(folder)
    for s, speaker in enumerate(("p225", "p226", "s5")):
        for number in (1, 2):
            name, text = f"{speaker}_{number:03}", SENTENCES[2 * s + number - 1]
            tree.note(f"txt/{speaker}/{name}.txt", text)
            for mic in ("mic1", "mic2"):
                file = f"wav48_silence_trimmed/{speaker}/{name}_{mic}.flac"
                samples = tree.put(file, text, speaker, 48_000)
                if mic == "mic2":  # nearer, and with a noise of its own
                    noise = np.random.default_rng(number).normal(0, 1e-3, len(samples))
                    samples = 0.7 * samples + 0.2 * np.roll(samples, 20) + noise
                    write(folder / file, samples, 48_000)
    tree.note("speaker-info.txt", "ID  AGE  GENDER  ACCENTS", "p225  23  F    English")
    return tree


def common_voice(folder: Path) -> Tree:
    """Common Voice 17: 12 clips of 4 clients and validated.tsv, in which quotes are letters."""
    tree = Tree(folder)
    columns = "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender "
    columns += "accents variant locale segment"
    rows = ["\t".join(columns.split())]
    texts = [*QUOTED[:2], *SENTENCES[:6], QUOTED[2], *SENTENCES[6:9]]
    for i, text in enumerate(texts):
        client, name = f"{i % 4:x}" * 128, f"common_voice_en_{1000 + i}.mp3"
        tree.put(f"clips/{name}", text, client, 32_000)
        about = ("twenties", "male_masculine") if i % 2 else ("", "")
        votes = (f"{2 + i % 3}", f"{i % 2}")
        row = (client, name, f"{i:x}" * 64, text, "", *votes, *about, "", "", "en", "")
        rows.append("\t".join(row))
    tree.note("validated.tsv", *rows)
    tree.note("clip_durations.tsv", "clip\tduration[ms]", "common_voice_en_1000.mp3\t1200")
    return tree


def librispeech(folder: Path) -> Tree:
    """LibriSpeech: speaker/chapter/, FLAC, one .trans.txt a chapter, in capitals."""
    tree, texts = Tree(folder), iter(SENTENCES)
    for speaker, chapter in ("84", "121123"), ("84", "121550"), ("174", "50561"), ("251", "118436"):
        lines, inner = [], f"dev-clean/{speaker}/{chapter}"
        for i in range(3):
            name, text = f"{speaker}-{chapter}-{i:04}", next(texts).upper().rstrip(".")
            tree.put(f"{inner}/{name}.flac", text, speaker)
            lines.append(f"{name} {text}")
        tree.note(f"{inner}/{speaker}-{chapter}.trans.txt", *lines)
    tree.note("SPEAKERS.TXT", "; about them", "84   | F | dev-clean | 8.02 | Christie")
    return tree


def timit(folder: Path) -> Tree:
    """TIMIT: TRAIN and TEST, dialects, speakers; SPHERE files; SA1 and SA2 are read by all."""
    tree, own = Tree(folder), iter(SENTENCES[2:])
    for inner in ("TRAIN/DR1/FCJF0", "TRAIN/DR1/MDAC0", "TRAIN/DR2/FAEM0", "TEST/DR1/FAKS0"):
        speaker = inner.rpartition("/")[2]
        for name, text in ("SA1", SENTENCES[0]), ("SA2", SENTENCES[1]), ("SX37", next(own)):
            tree.texts[f"{inner}/{name}.WAV"] = text
            tree.speakers[f"{inner}/{name}.WAV"] = speaker
            samples = spoken(text, speaker)
            tree.note(f"{inner}/{name}.TXT", f"0 {len(samples)} {text} ")
            soundfile.write(folder / inner / f"{name}.WAV", samples, RATE, format="NIST")
            tree.note(f"{inner}/{name}.PHN", "0 2000 h#", f"2000 {len(samples)} sh")
    return tree


def speech_commands(folder: Path) -> Tree:
    """Speech Commands v2: a folder a word, a name a speaker; lists of the published split."""
    tree = Tree(folder)
    for word in ("yes", "no", "marvin"):
        for speaker in ("0a7c2a8d", "1b4c9b89", "3bfd30e6", "c50f55b8"):
            tree.put(f"{word}/{speaker}_nohash_0.wav", word, speaker, seconds=0.6)
    for name, speaker in ("validation_list.txt", "3bfd30e6"), ("testing_list.txt", "c50f55b8"):
        tree.note(name, *(file for file, s in tree.speakers.items() if s == speaker))
    noise = np.random.default_rng(0).normal(0, 0.05, 5 * RATE)
    write(folder / "_background_noise_" / "white_noise.wav", noise)  # of nobody, without a text
    return tree


TREES: dict[str, Callable[[Path], Tree]] = {
    function.__name__: function
    for function in (vctk, common_voice, librispeech, timit, speech_commands)
}
