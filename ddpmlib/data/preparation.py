"""Folder of recordings -> one array of mel-spectrograms per recording, in parallel and resumable.

Apart from `dataset`, so that its worker processes never load torch, nor librosa, for its seconds.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from ddpmlib.audio.cleaning import FADE, LEVEL_DB, MARGIN, TRIM_DB, SampleFile
from ddpmlib.audio.decoding import VERSION, AudioError
from ddpmlib.audio.recording import SILENT_DB, find_audio, stream_audio
from ddpmlib.data.arrays import write_mels
from ddpmlib.data.manifest import SPLITS, Entry, appender, read_manifest, write_manifest
from ddpmlib.data.split import groups_of, held_out
from ddpmlib.spectrogram.codec import REFERENCE_DB
from ddpmlib.spectrogram.mel import check_bands
from ddpmlib.spectrogram.params import DEFAULT, SpectrogramParams
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.parallel import KILLED, check_workers, in_processes
from ddpmlib.storage.parameters import check_seed
from ddpmlib.storage.paths import fetch

# The original's twenty copies of a recording, by what they do to `audio_to_image`.
AUGMENTATIONS = {
    f"speed {speed:.3f}": {"speed": float(speed)} for speed in np.linspace(0.95, 1.05, 10)
} | {f"pitch {steps:+d}": {"semitones": steps} for steps in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)}
_key = attrgetter("file", "sha256", "settings")  # of an entry; equal ones are made once


@dataclass(frozen=True)
class Preparation:
    """How recordings become mel-spectrograms, and which of them are held out for validation."""

    params: SpectrogramParams = DEFAULT
    overlap: float = 0.0  # least share of a segment that the next one repeats
    join: bool = False  # one recording after the other, so that short ones fill segments
    augment: bool = False  # 10 other speeds and 10 other pitches of every training recording
    validation_share: float = 0.1  # of the recordings
    seed: int = 0  # of the split
    group: str = ""  # what stays on one side: a column such as "speaker", or a pattern in the paths
    validation_list: str = ""  # file with the recordings to validate, instead of a share of them

    def __post_init__(self):
        self.params.check_overlap()
        check_bands(self.params)
        check_seed(self.seed)
        for name in ("overlap", "validation_share"):
            if not 0 <= (share := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {share}; it must be at least 0 and below 1")


def prepare(
    folder: str | Path,
    into: str | Path,
    preparation: Preparation,
    workers: int = -1,
    groups: Mapping[str, str] | None = None,
    listed: Collection[str] = (),
) -> list[Entry]:
    """Mel-spectrograms of every recording under a folder; a second call does only what is new.

    Each finished recording is a line in `into/manifest.jsonl` at once, so an interrupt loses
    nothing. Recordings that cannot be used are lines with a reason; they never stop the batch.

    Args:
        folder: recordings, in any nesting, format, rate and number of channels.
        into: local folder for manifest and arrays: (mels, 1, n_mels, n_frames) float16, or (1, 1,
            n_mels, frames) for recordings that are to be joined.
        workers: processes; -1 is one per core.
        groups: by file, of recordings that stay on one side; see also `split.groups_of`.
        listed: files of the validation split; by default a share is drawn.

    Returns:
        One entry each, in the order of their file names.

    Raises:
        FileNotFoundError: no such folder, or no audio in it.
        ValueError: no workers.
        OSError: an array cannot be written (no space, no permission).
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    root = fetch(folder)
    files = find_audio(root)
    workers, into = check_workers(workers, len(files)), make_folder(into)
    hashes = Parallel(n_jobs=workers, prefer="threads")(delayed(_sha256)(path) for path in files)
    names = [path.relative_to(root).as_posix() for path in files]
    own = [(groups or {}).get(name, "") for name in names]
    fixed = names, hashes, own, listed, preparation
    ours = {_fingerprint(preparation, split) for split in SPLITS}
    earlier = (entry for entry in read_manifest(into) if entry.settings in ours)
    done = {_key(e): e for e in earlier if _is_whole(e, into, preparation.params)}

    def job(entry: Entry) -> tuple:
        return delayed(_prepare_one)(root, into, entry, preparation)

    wanted = _wanted(done, *fixed)
    with appender(into) as append:
        while missing := [entry for entry in wanted if _key(entry) not in done]:
            results = in_processes(job, missing, workers, lambda e: replace(e, reason=KILLED))
            for entry in tqdm(results, total=len(missing), desc="preparing", unit="file"):
                append(entry)
                done[_key(entry)] = entry
            # Which recordings sound alike is known only now: then some may change sides.
            wanted = _wanted(done, *fixed)
    finished = [replace(done[_key(e)], split=e.split, group=e.group) for e in wanted]
    finished.sort(key=lambda entry: entry.file)
    write_manifest(into, finished)  # drops lines of recordings that are gone
    _remove_leftovers(into, finished)
    return finished


def _wanted(
    done: Mapping[tuple, Entry],
    names: Sequence[str],
    hashes: Sequence[str],
    own: Sequence[str],
    listed: Collection[str],
    preparation: Preparation,
) -> list[Entry]:
    """An entry for each recording, with its side of the split as far as it is known."""
    known = {(entry.file, entry.sha256): entry for entry in done.values() if entry.signature}
    found = [known.get(pair) for pair in zip(names, hashes, strict=True)]
    signatures = [entry.signature if entry else "" for entry in found]
    seconds = [entry.seconds if entry else 1.0 for entry in found]
    groups = groups_of(names, hashes, signatures, seconds, own)
    sides = held_out(groups, hashes, preparation.validation_share, preparation.seed)
    sides = [name in listed for name in names] if listed else sides
    splits = [SPLITS[int(side)] for side in sides]
    settings = {split: _fingerprint(preparation, split) for split in SPLITS}
    rows = zip(names, hashes, splits, groups.tolist(), strict=True)
    return [Entry(name, sha, settings[split], split, group=n) for name, sha, split, n in rows]


def _prepare_one(root: Path, into: Path, entry: Entry, preparation: Preparation) -> Entry:
    """Worker: the array of one recording, on disk; returns its completed entry."""
    params, output = preparation.params, _output_name(entry)
    overlap = None if preparation.join else preparation.overlap
    try:
        sound = SampleFile(into)
        recording = stream_audio(root / entry.file, params.sample_rate, sound.append)
    except Exception as error:  # whatever is wrong with one file, the batch goes on
        return _skipped(entry, error)
    facts = {name: getattr(recording, name) for name in ("seconds", "level_db", "clipped")}
    facts |= {"sources": recording.sources, "output": output}
    try:
        with atomic_write(into / output) as temporary:
            facts |= write_mels(
                temporary, sound, params, overlap, changes(preparation, entry.split)
            )
    except OSError:  # no space: so it would be with all others
        raise
    except Exception as error:
        return _skipped(entry, error)
    return replace(entry, **facts)


def _skipped(entry: Entry, error: Exception) -> Entry:
    expected = isinstance(error, AudioError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    return replace(entry, reason=reason, final=expected)


def _output_name(entry: Entry) -> str:
    """Name of an array, by all that shapes it: a.wav, a.mp3, sub/a.wav and other settings differ.

    So an array can never pass for one of other settings, wherever an earlier batch was stopped.
    """
    shaped_by = f"{entry.file}:{entry.sha256}:{entry.settings}".encode(errors="surrogatepass")
    stem = re.sub(r"[^\w-]+", "_", entry.file)[:50]
    return f"{stem}-{hashlib.sha256(shaped_by).hexdigest()[:16]}.npy"


def changes(preparation: Preparation, split: str) -> list[dict]:
    """Of speed and pitch: none first, then those of augmented copies."""
    return [{}, *(AUGMENTATIONS.values() if preparation.augment and split == "train" else [])]


def _fingerprint(preparation: Preparation, split: str) -> str:
    """Of all that shapes an array; earlier manifests hold it."""
    shaping = preparation.params.to_dict() | {
        "cut": "joined" if preparation.join else preparation.overlap,
        "augment": changes(preparation, split)[1:],
        "audio": [VERSION, MARGIN, FADE, TRIM_DB, LEVEL_DB, SILENT_DB],
        "reference": REFERENCE_DB,
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]


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
