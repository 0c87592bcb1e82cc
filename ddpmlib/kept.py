"""Where sounds that were invented are kept, for whoever wants to hear what was measured."""

from pathlib import Path

import numpy as np

from ddpmlib.storage import atomic_write, data_folder, make_folder

FOLDER, SOUNDS = "pretrained", "sounds"


def sound_file(row: str) -> Path:
    """Where the first clip of a generated row is kept."""
    return data_folder() / FOLDER / SOUNDS / f"{row.replace(',', '').replace(' ', '_')}.ogg"


def keep_sound(row: str, samples: np.ndarray, sample_rate: int) -> None:
    """Write an Ogg Vorbis file; real speech is never kept."""
    import soundfile

    make_folder(sound_file(row).parent)
    with atomic_write(sound_file(row)) as temporary:
        soundfile.write(temporary, samples.clip(-1, 1), sample_rate, format="OGG")
