"""Decoding of audio files of any format: soundfile first, PyAV (FFmpeg) where that fails."""

from pathlib import Path

import numpy as np

BLOCK = 1 << 20  # frames read at once; a damaged header may promise more than memory holds
# FFmpeg would follow a playlist to other files and hosts: only containers that hold the sound.
CONTAINERS = "aac,aiff,amr,asf,au,caf,flac,g722,matroska,mov,mp3,mp4,ogg,w64,wav,webm"


class AudioError(ValueError):
    """A recording that cannot be used; its message is the reason."""


def decode_file(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float32 and rate in Hz; raises AudioError where there are none."""
    import soundfile

    if path.stat().st_size == 0:
        raise AudioError("0 bytes")
    if path.suffix.lower() == ".g722":  # raw, without a header: anything could be taken for it
        return _decode_with_av(path, "g722")
    try:  # with an open file, because soundfile takes no names that are not UTF-8
        with path.open("rb") as stream, soundfile.SoundFile(stream) as sound:
            blocks = [np.zeros((0, sound.channels), np.float32)]
            while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate(blocks), sound.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return _decode_with_av(path)  # which names the reason if it fails too


def _decode_with_av(path: Path, raw: str | None = None) -> tuple[np.ndarray, int]:
    import av

    blocks = []
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(str(path), format=raw, options=options, metadata_errors="ignore") as file:
            stream = file.streams.audio[0]
            rate = stream.rate
            resampler = av.AudioResampler(format="fltp", rate=rate)
            for frame in file.decode(stream):
                blocks += [f.to_ndarray() for f in resampler.resample(frame)]
    except (IndexError, AttributeError):  # no stream of audio, or one that has no decoder
        raise AudioError("no audio inside") from None
    except (av.FFmpegError, ValueError) as error:
        if not blocks:
            raise AudioError(f"cannot be decoded: {getattr(error, 'strerror', error)}") from error
        # Of a file that is cut off, what was decoded is speech like any other.
    if not blocks:
        raise AudioError("no samples inside")
    return np.concatenate(blocks, axis=1).T, rate
