"""One recording -> its array of mel-spectrograms on disk, in the memory of a few blocks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import TRIM_DB, SampleFile, levelled, span
from ddpmlib.data.segments import segment_blocks, window_starts
from ddpmlib.data.split import signature
from ddpmlib.spectrogram.codec import encode
from ddpmlib.spectrogram.mel import bandwidth, frame_starts, mel_blocks
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.atomic import write_array

LOUDEST = 0.02  # of the frames, that a click does not fill
OUTLINE = 1 << 16  # frames from which a recording gets its signature; of a longer one not all


def write_mels(
    path: Path,
    sound: np.ndarray | SampleFile,
    params: SpectrogramParams,
    overlap: float | None,
    changes: Sequence[dict],
) -> dict:
    """Clean a recording, analyse it, and write its segments, or all of it in one piece.

    Args:
        path: of the array: (mels, 1, n_mels, n_frames) float16, or (1, 1, n_mels, frames).
        sound: its samples (n,) at params.sample_rate.
        overlap: of segments; None: one piece, which has to fit into memory.
        changes: speed and pitch of each copy; none first.

    Returns:
        Facts for its entry in the manifest.
    """
    start, end = span(sound, params.sample_rate)
    frames = [len(frame_starts(end - start, params, how.get("speed", 1.0))) for how in changes]
    loudest, outline, tops, done = np.full(params.n_mels, -1.0, np.float32), [], [], 0
    at_ends = -(-params.n_fft // (2 * params.hop_length))  # frames in which a cut is a click

    def images(how: dict) -> Iterator[np.ndarray]:
        nonlocal done
        blocks = levelled(sound, start, end, params.sample_rate)
        for mel in mel_blocks(blocks, end - start, params, **how):
            image = encode(mel, params)
            if not how:
                inner = image[:, max(0, at_ends - done) : max(0, frames[0] - at_ends - done)]
                if (rank := int(LOUDEST * inner.shape[1]) + 1) <= inner.shape[1]:
                    np.maximum(loudest, np.partition(inner, -rank)[:, -rank], out=loudest)
                tops.append(image.max(axis=0))
                outline.append(image[:, :: -(-frames[0] // OUTLINE)])
                done += image.shape[1]
            yield image.astype(np.float16)[None, None]  # before overlapping segments repeat it

    if overlap is None:
        facts = {"frames": sum(frames)}
        array, place = np.empty((1, 1, params.n_mels, facts["frames"]), np.float16), 0
        for image in (image for how in changes for image in images(how)):
            array[..., place : place + image.shape[-1]] = image
            place += image.shape[-1]
        write_array(path, array.shape, [array])
    else:
        facts = {"mels": sum(len(window_starts(n, params.n_frames, overlap)) for n in frames)}
        segments = (
            segment
            for how, count in zip(changes, frames, strict=True)
            for segment in segment_blocks(images(how), count, params.n_frames, overlap)
        )
        write_array(path, (facts["mels"], 1, *params.image_size), segments)
    top = np.concatenate(tops)
    return facts | {
        "pauses": float(np.mean(top < top.max() - 2 * TRIM_DB / params.top_db)),
        "trimmed": (end - start) / params.sample_rate,
        "bandwidth": bandwidth(loudest, params),
        "signature": signature(np.concatenate(outline, axis=1), params),
    }
