"""Make data/sample_corpus: a synthetic voice speaks composed English sentences.

Install the exact versions (the voice is inside its package), then make or check the folder:

    pip install "hibari-tts[fast]==0.2.1" onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1 \\
        soxr==1.1.0 soundfile==0.14.0
    python data/make_sample_corpus.py            # replaces data/sample_corpus
    python data/make_sample_corpus.py --check    # re-creates it aside and compares the bytes

--check prints the names of the files that differ and exits with 1 if there are any. The voice's
rounding depends on the processor, so the bytes may differ on another kind: see data/README.md.
"""

import argparse
import csv
import io
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from hibari import Hibari
from sentences import corpus_sentences

CORPUS = Path(__file__).parent / "sample_corpus"
SPEED = 0.84  # unhurried; most sentences then fill a picture of 4.1 seconds
SAMPLE_RATE = 16_000  # Hz
LEVEL = -23.0  # dBFS, root mean square of the whole clip
MARGIN = 0.08  # seconds kept before the first and after the last sound
SILENCE = -50.0  # dB below the loudest 10 ms, where a sound begins
VORBIS_COMPRESSION = 0.65  # quality 3.5 of 10, about 48 kbit/s here; nothing is cut below 8 kHz
OGG_CRC_POLYNOMIAL = 0x04C11DB7


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (OGG_CRC_POLYNOMIAL if crc & 0x80000000 else 0)
        table.append(crc & 0xFFFFFFFF)
    return table


CRC_TABLE = _crc_table()


def ogg_crc(page: bytes) -> int:
    """Return the checksum of an Ogg page whose checksum field is zero (RFC 3533, section 6)."""
    crc = 0
    for byte in page:
        crc = ((crc << 8) & 0xFFFFFFFF) ^ CRC_TABLE[(crc >> 24) ^ byte]
    return crc


def set_ogg_serial(ogg: bytes, serial: int) -> bytes:
    """Return the Ogg stream with this serial number on every page.

    libsndfile numbers streams at random, the only bytes that change from run to run.
    """
    pages, start = [], 0
    while start < len(ogg):
        if ogg[start : start + 4] != b"OggS":
            raise ValueError(f"no Ogg page at byte {start} of {len(ogg)}")
        n_segments = ogg[start + 26]
        body = start + 27 + n_segments
        end = body + sum(ogg[start + 27 : body])
        page = bytearray(ogg[start:end])
        page[14:18] = struct.pack("<I", serial)
        page[22:26] = bytes(4)
        page[22:26] = struct.pack("<I", ogg_crc(page))
        pages.append(bytes(page))
        start = end
    return b"".join(pages)


def trim(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the audio without its silent ends, but for MARGIN seconds on each side."""
    hop = sample_rate // 100
    frames = audio[: len(audio) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > level.max() + SILENCE)
    margin = round(MARGIN * sample_rate)
    return audio[max(0, loud[0] * hop - margin) : (loud[-1] + 1) * hop + margin]


def set_level(audio: np.ndarray, level: float) -> np.ndarray:
    """Return the audio at this RMS level in dBFS; raises if a peak would clip."""
    audio = audio * (10 ** (level / 20) / np.sqrt(np.mean(audio**2)))
    peak = np.abs(audio).max()
    if peak > 0.98:
        raise ValueError(f"peak {peak:.2f} at {level} dBFS, needs 0.98 or less")
    return audio


def speak(voice: Hibari, text: str, seed: int) -> np.ndarray:
    """Return the spoken text, mono at SAMPLE_RATE; the seed fixes the noise in the voice."""
    audio = trim(voice(text, speed=SPEED, seed=seed), voice.sample_rate)
    return set_level(soxr.resample(audio, voice.sample_rate, SAMPLE_RATE, quality="VHQ"), LEVEL)


def encode(audio: np.ndarray, serial: int) -> bytes:
    """Return the audio as the bytes of an Ogg Vorbis file."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        audio,
        SAMPLE_RATE,
        format="OGG",
        subtype="VORBIS",
        compression_level=VORBIS_COMPRESSION,
    )
    return set_ogg_serial(buffer.getvalue(), serial)


def write_corpus(folder: Path) -> str:
    """Write NNN.ogg and sentences.csv into the folder and return a line of numbers about them."""
    sentences = corpus_sentences()
    voice = Hibari(threads=1)  # more threads may add up in another order
    n_samples = 0
    rows = [("file", "text")]
    for number, text in enumerate(sentences, start=1):
        name = f"{number:03d}.ogg"
        audio = speak(voice, text, seed=number)
        (folder / name).write_bytes(encode(audio, serial=number))
        rows.append((name, text))
        n_samples += len(audio)
    with open(folder / "sentences.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    minutes = n_samples / SAMPLE_RATE / 60
    return f"{len(sentences)} clips, {minutes:.2f} minutes, {n_bytes:,} bytes"


def differing_files(one: Path, other: Path) -> list[str]:
    """Return the names of the files that are not the same in both folders."""
    contents = [{p.name: p.read_bytes() for p in folder.glob("*")} for folder in (one, other)]
    names = contents[0].keys() | contents[1].keys()
    return sorted(name for name in names if contents[0].get(name) != contents[1].get(name))


def main() -> int:
    """Make the corpus aside, then compare it with the folder or put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the folder, keep it")
    check = parser.parse_args().check
    # Beside the folder, so that the swap is a rename and an interrupted run leaves no half.
    with tempfile.TemporaryDirectory(dir=CORPUS.parent, prefix=".sample_corpus-") as aside:
        new = Path(aside) / "new"
        new.mkdir()
        print(write_corpus(new))
        if check:
            different = differing_files(new, CORPUS)
            print("\n".join(different) or "all files are the same")
            return int(bool(different))
        if CORPUS.exists():
            CORPUS.rename(Path(aside) / "old")
        new.rename(CORPUS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
