"""Forced alignment of all recordings of a folder, in parallel and resumable."""

import bisect
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ddpmlib.audio.cleaning import clean, span
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.storage.json_lines import UTF8, appender, read_lines, write_lines
from ddpmlib.storage.parallel import KILLED, in_processes
from ddpmlib.storage.paths import fetch_beside
from ddpmlib.text.alignment import GOOD, MARGIN, RATE, WORST, Alignment, align, misfit
from ddpmlib.text.normalisation import BREAKS, spoken_words
from ddpmlib.text.pronunciation import Lexicon
from ddpmlib.text.textgrid import read_textgrid, textgrid_beside

ALIGNMENTS = "alignments.jsonl"
PRINTED = 10
OTHERS = 8  # texts of other recordings that a doubtful one is compared with


@dataclass(frozen=True)
class Aligner:
    """How recordings and their texts are aligned.

    A Praat TextGrid beside a recording (NAME.TextGrid, as the Montreal Forced Aligner writes it) is
    read instead, in any language.
    """

    lexicon: Lexicon = field(default_factory=Lexicon)
    phone_tier: str = "phones"  # of TextGrids, by name
    word_tier: str = "words"


@dataclass(frozen=True)
class Aligned:
    """What became of one recording."""

    file: str
    sha256: str
    settings: str  # fingerprint of text and aligner
    samples: int = 0  # of the cleaned recording
    alignment: Alignment | None = None
    reason: str = ""  # why it has none
    final: bool = True  # False: the reason does not lie in the recording or text; tried again


def align_recordings(
    root: Path,
    into: Path,
    texts: Mapping[str, tuple[str, str]],
    params: SpectrogramParams,
    aligner: Aligner | None = None,
    workers: int = -1,
) -> dict[str, Aligned]:
    """Alignments of cleaned recordings; a second call does only what is new.

    Args:
        root: folder of the recordings.
        into: folder for alignments.jsonl, one line for each recording as soon as it is finished.
        texts: SHA-256 and text by file; the text may be empty where there is a TextGrid.

    Returns:
        By file; those whose text does not fit them, or cannot be pronounced, have a reason.
    """
    from joblib import delayed
    from tqdm import tqdm

    aligner, path = aligner or Aligner(), into / ALIGNMENTS
    words = {file: _words(text) for file, (_, text) in texts.items()}
    wanted = {
        file: Aligned(file, sha256, _fingerprint(root, file, text, params, aligner))
        for file, (sha256, text) in texts.items()
    }
    finished = {}
    for values in read_lines(path):
        one = _read(values)
        if (
            one
            and one.final
            and (w := wanted.get(one.file))
            and (w.sha256, w.settings) == (one.sha256, one.settings)
        ):
            finished[one.file] = one
    by_length = sorted(sorted({tuple(each) for each in words.values() if each}), key=len)
    missing = [one for file, one in wanted.items() if file not in finished]

    def job(one: Aligned) -> tuple:
        own = words[one.file]
        return delayed(_align_one)(root, one, own, _others(own, by_length), params, aligner)

    with appender(path) as append:
        results = in_processes(
            job, missing, workers, lambda one: replace(one, reason=KILLED, final=False)
        )
        count = len(missing)
        for one in tqdm(results, total=count, desc="aligning", unit="file", disable=not count):
            append(asdict(one))
            finished[one.file] = one
    write_lines(path, (asdict(finished[file]) for file in sorted(finished)))
    return finished


def alignments_path(npy: str | Path) -> Path:
    """Where the alignments of a data set lie: beside the mel-spectrograms, NAME.alignments.json."""
    return Path(npy).with_suffix(".alignments.json")


def write_alignments(path: Path, aligned: Mapping[str, Aligned]) -> None:
    """Write the alignments of a data set, by file."""
    found = {file: asdict(one.alignment) for file, one in aligned.items() if one.alignment}
    path.write_text(json.dumps(found, ensure_ascii=False), **UTF8)


def read_alignments(npy: str | Path) -> dict[str, Alignment]:
    """The alignments of a data set, by file; none if it has none."""
    path = fetch_beside(npy, ".alignments.json")
    found = json.loads(path.read_text("utf-8")) if path else {}
    return {file: _alignment(values) for file, values in found.items()}


def alignment_summary(aligned: Mapping[str, Aligned]) -> str:
    """How many recordings are aligned, and which are not, to print."""
    without = [one for one in aligned.values() if one.reason]
    lines = [f"{len(aligned) - len(without)} of {len(aligned)} recordings aligned with their texts"]
    lines += [f"not aligned {one.file}: {one.reason}" for one in without[:PRINTED]]
    if (more := len(without) - PRINTED) > 0:
        lines.append(f"... and {more} more, all named in {ALIGNMENTS}")
    return "\n".join(lines).encode(**UTF8).decode()


def _align_one(
    root: Path, one: Aligned, words: list[str], others, params: SpectrogramParams, aligner: Aligner
) -> Aligned:
    """Worker: a recording with its alignment, or the reason why there is none."""
    import librosa

    facts = asdict(one) | {"alignment": None}
    try:
        raw = load_audio(root / one.file, params.sample_rate).samples
        sound = clean(raw, params.sample_rate)
        facts["samples"] = len(sound)
        if grid := textgrid_beside(root / one.file):
            offset = span(raw, params.sample_rate)[0] / params.sample_rate
            tiers = aligner.phone_tier, aligner.word_tier
            seconds = len(sound) / params.sample_rate
            return Aligned(**facts | {"alignment": read_textgrid(grid, *tiers, offset, seconds)})
        if not words:
            return Aligned(**facts | {"reason": "no text is known"})
        if params.sample_rate != RATE:
            sound = librosa.resample(sound, orig_sr=params.sample_rate, target_sr=RATE)
        alignment = align(sound, words, aligner.lexicon)
        reason = misfit(sound, words, others, aligner.lexicon, alignment.score)
        found = {"reason": reason} if reason else {"alignment": alignment}
        return Aligned(**facts | found)
    except ValueError as error:
        return Aligned(**facts | {"reason": str(error)})
    except Exception as error:  # whatever is wrong with one file, the batch goes on
        return Aligned(**facts | {"reason": f"{type(error).__name__}: {error}", "final": False})


def _words(text: str) -> list[str]:
    """Without breaks; none where a text has nothing to say."""
    try:
        return [word for word in spoken_words(text) if word not in BREAKS] if text else []
    except ValueError:
        return []


def _others(own: list[str], by_length: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Different texts of about the same length, evenly spread over those around it."""
    at = bisect.bisect_left(by_length, len(own), key=len)
    around = by_length[max(0, at - 2 * OTHERS) : at + 2 * OTHERS]
    different = [other for other in around if other != tuple(own)]
    return different[:: max(1, len(different) // OTHERS)][:OTHERS]


def _fingerprint(root: Path, file: str, text: str, params: SpectrogramParams, how: Aligner) -> str:
    grid = textgrid_beside(root / file)
    written = grid and grid.read_text("utf-8", "replace")
    own = sorted(how.lexicon.own.items()), how.lexicon.spell, how.phone_tier, how.word_tier
    shaping = [text, params.sample_rate, own, GOOD, WORST, MARGIN, written]
    return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:16]


def _read(values: dict) -> Aligned | None:
    try:
        found = values.pop("alignment")
        return Aligned(**values, alignment=found and _alignment(found))
    except (KeyError, TypeError):
        return None


def _alignment(found: dict) -> Alignment:
    intervals = {name: [i.values() for i in found[name]] for name in ("phones", "words")}
    return Alignment(**intervals, score=found["score"])
