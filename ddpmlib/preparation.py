"""Folder of recordings -> one array of pictures per recording, in parallel and resumable.

Kept apart from `dataset` so that its worker processes never load torch.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ddpmlib import audio
from ddpmlib.cutting import cut
from ddpmlib.manifest import Entry, appender, read_manifest, write_manifest
from ddpmlib.spectrogram import DEFAULT, REFERENCE_DB, SpectrogramParams, audio_to_image
from ddpmlib.storage import atomic_write, make_folder, write_array

# The original's twenty copies of a recording, by what they do to `audio_to_image`.
AUGMENTATIONS = {
    f"speed {speed:.3f}": {"speed": float(speed)} for speed in np.linspace(0.95, 1.05, 10)
} | {f"pitch {steps:+d}": {"semitones": steps} for steps in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)}


@dataclass(frozen=True)
class Preparation:
    """How recordings become pictures, and which of them are kept for validation."""

    params: SpectrogramParams = DEFAULT
    overlap: float = 0.0  # share of a picture that the next one of a long recording repeats
    join: bool = False  # one recording after the other, so that short ones fill pictures
    augment: bool = False  # 10 other speeds and 10 other pitches of every training recording
    validation_share: float = 0.1  # of the recordings
    seed: int = 0  # of the split

    def __post_init__(self):
        self.params.check_overlap()
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap is {self.overlap}; it must be at least 0 and below 1")
        if not 0 <= self.validation_share < 1:
            raise ValueError(
                f"validation_share is {self.validation_share}; it must be at least 0 and below 1"
            )


def prepare(
    folder: str | Path, into: str | Path, preparation: Preparation, workers: int = -1
) -> list[Entry]:
    """Make the pictures of every recording under a folder; a second call does only what is new.

    Each finished recording is a line in `into/manifest.jsonl` at once, so an interrupt loses
    nothing. Recordings that cannot be used are lines with a reason; they never stop the batch.

    Args:
        folder: recordings, in any nesting, format, rate and number of channels.
        into: local folder for manifest and arrays: (pictures, 1, n_mels, n_frames) float16, or
            (1, 1, n_mels, frames) for recordings that are to be joined.
        workers: processes; -1 is one per core.

    Returns:
        list[Entry], in the order of their file names.

    Raises:
        FileNotFoundError: no such folder, or no audio in it.
        OSError: an array cannot be written (no space, no permission).
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    root = audio.fetch(folder)
    files = audio.find_audio(root)
    into = make_folder(into)
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered")
    hashes = Parallel(n_jobs=workers, prefer="threads")(delayed(_sha256)(path) for path in files)
    held_out = _held_out(hashes, preparation)
    wanted = []
    for path, sha256 in zip(files, hashes, strict=True):
        split = "validation" if sha256 in held_out else "train"
        settings = _fingerprint(preparation, split)
        wanted.append(Entry(path.relative_to(root).as_posix(), sha256, settings, split))
    earlier = (e for e in read_manifest(into) if _is_whole(e, into, preparation.params))
    known = {_key(entry): entry for entry in earlier}
    finished = [known[_key(entry)] for entry in wanted if _key(entry) in known]
    missing = [entry for entry in wanted if _key(entry) not in known]
    with appender(into) as append:
        results = parallel(delayed(_prepare_one)(root, into, e, preparation) for e in missing)
        for entry in tqdm(results, total=len(missing), desc="preparing", unit="file"):
            append(entry)
            finished.append(entry)
    finished.sort(key=lambda entry: entry.file)
    write_manifest(into, finished)  # drops lines of recordings that are gone
    _remove_leftovers(into, finished)
    return finished


def _prepare_one(root: Path, into: Path, entry: Entry, preparation: Preparation) -> Entry:
    """Worker: the pictures of one recording, on disk; returns its completed entry."""
    try:
        recording = audio.load_audio(root / entry.file, preparation.params.sample_rate)
        images = list(_images(recording, entry, preparation))
    except Exception as error:  # whatever is wrong with one file, the batch goes on
        expected = isinstance(error, audio.AudioError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        return replace(entry, reason=reason, final=expected)
    facts = {"seconds": recording.seconds, "level_db": recording.level_db}
    facts |= {"clipped": recording.clipped, "output": _output_name(entry)}
    if preparation.join:
        array = np.concatenate(images, axis=1)[None, None].astype(np.float16)
        facts["frames"] = array.shape[-1]
    else:
        n_frames = preparation.params.n_frames
        array = np.concatenate([cut(image, n_frames, preparation.overlap) for image in images])
        facts["pictures"] = len(array)
    with atomic_write(into / facts["output"]) as temporary:
        write_array(temporary, array.shape, [array])
    return replace(entry, **facts)


def _output_name(entry: Entry) -> str:
    """Name of an array, by all that shapes it: a.wav, a.mp3, sub/a.wav and other settings differ.

    So an array can never pass for one of other settings, wherever an earlier batch was stopped.
    """
    shaped_by = f"{entry.file}:{entry.sha256}:{entry.settings}".encode(errors="surrogatepass")
    stem = re.sub(r"[^\w-]+", "_", entry.file)[:50]
    return f"{stem}-{hashlib.sha256(shaped_by).hexdigest()[:16]}.npy"


def _images(recording, entry: Entry, preparation: Preparation) -> Iterator[np.ndarray]:
    params = preparation.params
    sound = audio.clean(recording.samples, params.sample_rate)
    yield audio_to_image(sound, params)
    for change in _changes(preparation, entry.split):
        yield audio_to_image(sound, params, **change)


def _changes(preparation: Preparation, split: str) -> list[dict]:
    return list(AUGMENTATIONS.values()) if preparation.augment and split == "train" else []


def _held_out(hashes: list[str], preparation: Preparation) -> set[str]:
    """Content hashes kept for validation: copies of one recording never sit on both sides."""
    ranked = sorted(
        set(hashes),
        key=lambda sha256: hashlib.sha256(f"{preparation.seed}:{sha256}".encode()).hexdigest(),
    )
    count = round(preparation.validation_share * len(ranked))
    if preparation.validation_share > 0 and len(ranked) > 1:
        count = max(1, count)
    return set(ranked[: min(count, len(ranked) - 1)])  # at least one is trained on


def _fingerprint(preparation: Preparation, split: str) -> str:
    shaping = preparation.params.to_dict() | {
        "cut": "joined" if preparation.join else preparation.overlap,
        "augment": _changes(preparation, split),
        "audio": [audio.MARGIN, audio.FADE, audio.TRIM_DB, audio.LEVEL_DB, audio.SILENT_DB],
        "reference": REFERENCE_DB,
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]


def _key(entry: Entry) -> tuple[str, str, str, str]:
    return entry.file, entry.sha256, entry.settings, entry.split


def _is_whole(entry: Entry, into: Path, params: SpectrogramParams) -> bool:
    """Whether nothing is left to do: skipped, or its array is there and not cut short."""
    if entry.reason:
        return entry.final
    try:
        array = np.load(into / entry.output, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return array.shape == entry.shape(params)


def _remove_leftovers(into: Path, finished: list[Entry]) -> None:
    """Delete arrays of earlier settings or lost recordings, and files of killed workers."""
    wanted = {entry.output for entry in finished}
    for path in into.iterdir():
        array = re.search(r"-[0-9a-f]{16}\.npy$", path.name) and path.name not in wanted
        if array or re.match(r"\..*\.npy\.|\.manifest\.jsonl\.", path.name):
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    try:
        if path.stat().st_size == 0:  # files of the system that claim no bytes may never end
            return hashlib.sha256().hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""  # its worker will name the reason; it is tried again once it can be read
