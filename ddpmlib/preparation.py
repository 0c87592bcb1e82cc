"""Folder of recordings -> one array of pictures per recording, in parallel and resumable.

Kept apart from `dataset` so that its worker processes never load torch.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ddpmlib import audio
from ddpmlib.spectrogram import DEFAULT, REFERENCE_DB, SpectrogramParams, audio_to_image
from ddpmlib.storage import atomic_write, make_folder, naming_the_path, write_array

MANIFEST = "manifest.jsonl"
# Names that are not UTF-8 are lone surrogates in Python; written as \udcff they are good JSON.
UTF8 = {"encoding": "utf-8", "errors": "backslashreplace"}


@dataclass(frozen=True)
class Preparation:
    """How recordings become pictures, and which of them are kept for validation."""

    params: SpectrogramParams = DEFAULT
    overlap: float = 0.0  # share of a picture that the next one of a long recording repeats
    augment: bool = False  # 10 stretches and 10 pitch shifts of every training recording
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


@dataclass(frozen=True)
class Entry:
    """One line of the manifest: a recording, and what became of it."""

    file: str  # relative to the folder of recordings
    sha256: str  # of its bytes
    settings: str  # fingerprint of everything that shapes the pictures
    split: str  # train or validation
    output: str = ""  # name of the array beside the manifest; empty when skipped
    pictures: int = 0
    seconds: float = 0.0
    level_db: float = 0.0  # dBFS, as found
    clipped: bool = False
    reason: str = ""  # why it was skipped
    final: bool = False  # the reason lies in the file itself: it is not tried again


def prepare(
    folder: str | Path, into: str | Path, preparation: Preparation, workers: int = -1
) -> list[Entry]:
    """Make the pictures of every recording under a folder; a second call does only what is new.

    Each finished recording is a line in `into/manifest.jsonl` at once, so an interrupt loses
    nothing. Recordings that cannot be used are lines with a reason; they never stop the batch.

    Args:
        folder: recordings, in any nesting, format, rate and number of channels.
        into: local folder for the arrays (pictures, 1, n_mels, n_frames) float16, and manifest.
        workers: processes; -1 is one per core.

    Returns:
        list[Entry], in the order of their file names.

    Raises:
        FileNotFoundError: no such folder, or no audio in it.
        OSError: an array cannot be written (no space, no permission).
    """
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

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
    with _appender(into) as append:
        results = parallel(delayed(_prepare_one)(root, into, e, preparation) for e in missing)
        for entry in tqdm(results, total=len(missing), desc="preparing", unit="file"):
            append(entry)
            finished.append(entry)
    finished.sort(key=lambda entry: entry.file)
    with atomic_write(into / MANIFEST) as temporary:  # drops lines of recordings that are gone
        temporary.write_text("".join(_line(entry) for entry in finished), **UTF8)
    _remove_leftovers(into, finished)
    return finished


def read_manifest(into: str | Path) -> list[Entry]:
    """Entries written so far; a line cut short by a crash is left out, its recording redone."""
    path = Path(into) / MANIFEST
    entries = []
    # A cut may go through a character; splitlines would also cut at odd characters in names.
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.split("\n"):
        with contextlib.suppress(ValueError, TypeError):
            entries.append(Entry(**json.loads(line)))
    return entries


def cut(image: np.ndarray, n_frames: int, overlap: float) -> np.ndarray:
    """Cut (n_mels, frames) into pictures (n, 1, n_mels, n_frames) float16.

    A short image is padded with silence at its end. A long one gives evenly spaced pictures that
    overlap by at least the share asked for, so that the last one ends where the image ends.
    """
    frames = image.shape[1]
    if frames <= n_frames:
        image = np.pad(image, ((0, 0), (0, n_frames - frames)), constant_values=-1)
        return image[None, None].astype(np.float16)
    step = max(1, round(n_frames * (1 - overlap)))
    count = -(-(frames - n_frames) // step) + 1
    starts = np.linspace(0, frames - n_frames, count).round().astype(int)
    return np.stack([image[None, :, s : s + n_frames] for s in starts]).astype(np.float16)


def _prepare_one(root: Path, into: Path, entry: Entry, preparation: Preparation) -> Entry:
    """Worker: the pictures of one recording, on disk; returns its completed entry."""
    try:
        recording = audio.load_audio(root / entry.file, preparation.params.sample_rate)
        pictures = np.concatenate(list(_pictures(recording, entry, preparation)))
    except Exception as error:  # whatever is wrong with one file, the batch goes on
        expected = isinstance(error, audio.AudioError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        return Entry(**asdict(entry) | {"reason": reason, "final": expected})
    output = _output_name(entry)
    with atomic_write(into / output) as temporary:
        write_array(temporary, pictures.shape, [pictures])
    facts = {"seconds": recording.seconds, "level_db": recording.level_db}
    facts |= {"clipped": recording.clipped, "output": output, "pictures": len(pictures)}
    return Entry(**asdict(entry) | facts)


def _output_name(entry: Entry) -> str:
    """Name of an array, by all that shapes it: a.wav, a.mp3, sub/a.wav and other settings differ.

    So an array can never pass for one of other settings, wherever an earlier batch was stopped.
    """
    shaped_by = f"{entry.file}:{entry.sha256}:{entry.settings}".encode(errors="surrogatepass")
    stem = re.sub(r"[^\w-]+", "_", entry.file)[:50]
    return f"{stem}-{hashlib.sha256(shaped_by).hexdigest()[:16]}.npy"


def _pictures(recording, entry: Entry, preparation: Preparation) -> Iterator[np.ndarray]:
    params = preparation.params
    variants = [recording.samples]
    if preparation.augment and entry.split == "train":
        # Augmented before trimming and cutting: a stretched copy is as long as it is.
        variants += [change(variants[0], params.sample_rate) for _, change in audio.augmentations()]
    for samples in variants:
        image = audio_to_image(audio.clean(samples, params.sample_rate), params)
        yield cut(image, params.n_frames, preparation.overlap)


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
        "overlap": preparation.overlap,
        "augment": preparation.augment and split == "train",
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
    return array.shape == (entry.pictures, 1, *params.image_size)


def _remove_leftovers(into: Path, finished: list[Entry]) -> None:
    """Delete arrays of earlier settings or lost recordings, and files of killed workers."""
    wanted = {entry.output for entry in finished}
    for path in into.iterdir():
        array = re.search(r"-[0-9a-f]{16}\.npy$", path.name) and path.name not in wanted
        if array or re.match(r"\..*\.npy\.|\.manifest\.jsonl\.", path.name):
            path.unlink(missing_ok=True)


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"


@contextlib.contextmanager
def _appender(into: Path):
    path = into / MANIFEST
    with naming_the_path(path), path.open("a", **UTF8) as stream:

        def append(entry: Entry) -> None:
            with naming_the_path(path):
                stream.write(_line(entry))
                stream.flush()

        stream.write("\n")  # ends a line that a crash may have cut short
        yield append


def _sha256(path: Path) -> str:
    try:
        if path.stat().st_size == 0:  # files of the system that claim no bytes may never end
            return hashlib.sha256().hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""  # its worker will name the reason; it is tried again once it can be read
