"""A tiny corpus and its archives, for tests of fetching."""

import io
import random
import tarfile
import wave
import zipfile
from pathlib import Path

from ddpmlib.audio.corpora import ATTRIBUTION

WAVS = ("a", "b", "c")


def wav_bytes(seed: int, seconds: float = 4.0) -> bytes:
    """Noise, so that it does not compress and the archive is several download chunks long."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(random.Random(seed).randbytes(int(seconds * 16000) * 2))
    return buffer.getvalue()


def members() -> dict[str, bytes]:
    wavs = {f"tiny-1.0/wavs/{name}.wav": wav_bytes(i) for i, name in enumerate(WAVS)}
    text = {"tiny-1.0/metadata.csv": b"a|hello\nb|good\nc|day\n"}
    unwanted = {
        "tiny-1.0/train.py": b"x",
        "tiny-1.0/wavs/hum.wav": wav_bytes(9, 0.1),
        "x.wav": b"x",
    }
    return wavs | text | unwanted


def tar_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


COMPLETE = {ATTRIBUTION, "metadata.csv", *(f"wavs/{name}.wav" for name in WAVS)}
