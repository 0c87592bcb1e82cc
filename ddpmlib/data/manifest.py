"""What became of each recording: the manifest of a prepared folder, one line of JSON each."""

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddpmlib.data.split import alike
from ddpmlib.spectrogram.mel import bands_above
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage import json_lines
from ddpmlib.storage.json_lines import UTF8, read_lines, write_lines

MANIFEST = "manifest.jsonl"
CUT = (
    "a long recording can be cut into files first, as by "
    "ffmpeg -i long.wav -f segment -segment_time 60 part_%03d.wav"
)
SHORTER = (
    "they can be shortened first, as by ffmpeg -i long.wav -af "
    "silenceremove=stop_periods=-1:stop_duration=0.5:stop_threshold=-45dB short.wav"
)
MELS = "pictures"  # key of a number of mel-spectrograms, in the files' format
SPLITS = ("train", "validation")
NARROW, SOME = 0.8, 0.1  # of fmax; share of recordings that end below from which it is told
MOSTLY = 0.5  # of the mel-spectrograms filled up with silence, or of the sound pauses
LONG, DOMINATING = 8, 0.1  # times the median length; share of all sound in such recordings
LITTLE = 300.0  # seconds to train on; from 2 minutes samples came nearer to them than from 6


@dataclass(frozen=True)
class Entry:
    """One line of the manifest: a recording, and what became of it."""

    file: str  # relative to the folder of recordings
    sha256: str  # of its bytes
    settings: str  # fingerprint of everything that shapes the array
    split: str  # train or validation
    output: str = ""  # name of the array beside the manifest; empty when skipped
    mels: int = 0  # segments of it; of joined recordings, those that begin in it
    frames: int = 0  # of sound in the array, for recordings to be joined
    seconds: float = 0.0
    level_db: float = 0.0  # dBFS, as found
    clipped: bool = False
    sources: int = 1  # channels with a sound of their own
    trimmed: float = 0.0  # seconds after trimming
    pauses: float = 0.0  # share of that as faint as what was trimmed
    bandwidth: float = 0.0  # Hz, above it nothing was recorded
    reason: str = ""  # why it was skipped
    final: bool = False  # the reason lies in the file itself: it is not tried again
    signature: str = ""  # see `split.signature`
    group: int = -1  # equal for recordings that stay on one side of the split

    def shape(self, params: SpectrogramParams) -> tuple[int, int, int, int]:
        """Of its array."""
        if self.frames:
            return 1, 1, params.n_mels, self.frames
        return self.mels, 1, *params.image_size


def read_manifest(into: str | Path) -> list[Entry]:
    """Entries written so far; a line cut short by a crash is left out, its recording redone."""
    entries = []
    for values in read_lines(Path(into) / MANIFEST):
        with contextlib.suppress(TypeError):
            entries.append(Entry(mels=values.pop(MELS, 0), **values))
    return entries


def write_manifest(into: Path, entries: Sequence[Entry]) -> None:
    """Replace the manifest by these entries; it appears whole or not at all."""
    write_lines(into / MANIFEST, map(_values, entries))


def summary(entries: list[Entry], params: SpectrogramParams) -> str:
    """What became of the recordings, to print."""
    used = [entry for entry in entries if entry.output]
    train, held_out = (sum(e.mels for e in used if e.split == split) for split in SPLITS)
    lines = [
        f"{len(used)} of {len(entries)} recordings used, "
        f"{sum(e.seconds for e in used) / 60:.1f} minutes -> {train} mel-spectrograms to train and "
        f"{held_out} to validate, {params.seconds:.2f} s each"
    ]
    lines += _about_split(used)
    if advice := little_data(sum(e.seconds for e in used if e.split == SPLITS[0])):
        lines.append(advice)
    lines += _about_sound(used, params)
    if clipped := [e.file for e in used if e.clipped]:
        lines.append(f"{len(clipped)} clipped, e.g. {clipped[0]}")
    skipped = [e for e in entries if e.reason]
    lines += [f"skipped {e.file}: {e.reason}" for e in skipped[:10]]
    if len(skipped) > 10:
        lines.append(f"... and {len(skipped) - 10} more skipped, all named in the manifest")
    # A name that is not UTF-8 could not be printed.
    return "\n".join(lines).encode(**UTF8).decode()


def _about_split(used: list[Entry]) -> list[str]:
    """Which recordings stay on one side, and whether the split can be trusted."""
    lines, groups = [], {}
    for entry in used:
        groups.setdefault(entry.group, []).append(entry.file)
    if several := [files for number, files in groups.items() if number >= 0 and len(files) > 1]:
        alone = f"{len(groups)} groups of {len(used)} recordings are split"
        lines.append(f"{alone}; of one group are, for example, {' and '.join(several[0][:2])}")
    if used and not any(entry.split == SPLITS[1] for entry in used):
        lines.append(
            f"nothing is held out of {len(groups)} recordings or groups of them, so neither "
            f"overfitting nor memorization can be seen; {CUT}"
        )
    pairs = alike([entry.signature for entry in used], [entry.seconds for entry in used])
    if twins := [(a, b) for a, b in pairs if used[a].split != used[b].split]:
        held_out = {used[i].file for pair in twins for i in pair if used[i].split == SPLITS[1]}
        example = " and ".join(used[i].file for i in twins[0])
        lines.append(
            f"{len(held_out)} recordings to validate sound like one to train on, such as {example};"
            " the validation loss looks better than it is"
        )
    return lines


def _about_sound(used: list[Entry], params: SpectrogramParams) -> list[str]:
    """What dominates the recordings, and what is missing in them."""
    lines = []
    if mixed := [entry.file for entry in used if entry.sources > 1]:
        lines.append(f"{len(mixed)} have other sounds on other channels, mixed, e.g. {mixed[0]}")
    narrow = [e for e in used if 0 < e.bandwidth < NARROW * params.fmax]
    if len(narrow) > SOME * len(used):  # a word without hiss is narrow too
        highest = max(entry.bandwidth for entry in narrow)
        fitting = min(params.fmax, round(highest, -2))
        lines.append(
            f"{len(narrow)} recordings hold nothing above {fitting:.0f} Hz, e.g. {narrow[0].file}: "
            f"{bands_above(highest, params)} of {params.n_mels} mel bands stay dark in them; "
            f"fmax {fitting:.0f} would fit"
        )
    cut = [entry for entry in used if entry.trimmed and not entry.frames]
    empty = sum(e.mels * max(0, params.seconds - e.trimmed) for e in cut)
    if cut and (share := empty / sum(e.mels * params.seconds for e in cut)) > MOSTLY:
        lines.append(
            f"{share:.0%} of the mel-spectrograms are silence behind recordings shorter than "
            f"{params.seconds:.1f} s; join lays recordings end to end"
        )
    total = sum(e.trimmed for e in used)
    silent = sum(e.pauses * e.trimmed for e in used)
    if total and (share := silent / total) > MOSTLY:
        longest = max(used, key=lambda e: e.pauses * e.trimmed)
        lines.append(
            f"{share:.0%} of all sound is pauses inside of recordings, e.g. {longest.file}; "
            f"{SHORTER}"
        )
    usual = LONG * statistics.median([entry.trimmed for entry in used] or [0])
    long = [entry for entry in used if entry.trimmed > usual]
    if long and (share := sum(e.trimmed for e in long) / total) > DOMINATING:
        lines.append(
            f"{len(long)} much longer than the others make {share:.0%} of all sound, e.g. "
            f"{long[0].file}, {long[0].trimmed:.0f} s; leave out what is no speech, such as noise"
        )
    return lines


def little_data(seconds: float) -> str:
    """What to expect of so much speech to train on, and what to do; empty where it is enough."""
    if seconds >= LITTLE:
        return ""
    return (
        f"{seconds:.0f} s of speech to train on: a model learns less than {LITTLE:.0f} s by heart; "
        "record more, or begin with weights that know speech (init_from pretrained)"
    )


@contextlib.contextmanager
def appender(into: Path) -> Iterator[Callable[[Entry], None]]:
    """Open the manifest to add entries, each on disk as soon as it is added."""
    with json_lines.appender(into / MANIFEST) as append:
        yield lambda entry: append(_values(entry))


def _values(entry: Entry) -> dict:
    return {MELS if name == "mels" else name: value for name, value in vars(entry).items()}
