"""Intelligibility: do clips of speech say what they should? All works offline.

Word error and phone error are those of a recogniser that knows English but not the text
(pocketsphinx with its own language model); what it finds in real recordings is the floor of every
other number. The text accuracy needs less of it: which of some texts fits a clip best by forced
alignment.
Needs the extra: pip install -e ".[metrics]".
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.metrics.speech import RATE, as_pcm, metric_package, recognise_phones
from ddpmlib.metrics.statistics import Estimate, estimate, share
from ddpmlib.text.alignment import score_of
from ddpmlib.text.normalisation import BREAKS, spoken_words
from ddpmlib.text.pronunciation import Lexicon

CANDIDATES = 10  # texts among which the right one is looked for; chance is 1 / CANDIDATES
PAD = 0.3  # seconds of silence around a clip, which a recogniser needs to find its first word


@dataclass(frozen=True)
class TextScores:
    """How one clip agrees with its text."""

    recognised: str
    words: int  # of the text
    word_errors: int  # substitutions, deletions and insertions
    phones: int
    phone_errors: int
    text_found: bool  # whether the text fits best among the candidates


def score_texts(
    clips: Sequence[np.ndarray],
    texts: Sequence[str],
    sample_rate: int,
    workers: int = -1,
    candidates: int = CANDIDATES,
) -> list[TextScores]:
    """Score every clip (samples,) beside its text.

    Args:
        candidates: the text of a clip and others of about the same length, at most as many as
            there are different texts.

    Raises:
        ImportError: a metric is not installed; says how to install it.
        ValueError: no clips, another number of texts, or a text with nothing to say.
    """
    from joblib import Parallel, delayed

    metric_package("jiwer")
    if not len(clips) or len(clips) != len(texts):
        raise ValueError(f"{len(clips)} clips and {len(texts)} texts; needed: one each, at least 1")
    words = [[w for w in spoken_words(text) if w not in BREAKS] for text in texts]
    jobs = (
        delayed(_score)(clip, sample_rate, own, _decoys(own, words, candidates))
        for clip, own in zip(clips, words, strict=True)
    )
    return list(Parallel(n_jobs=workers)(jobs))


def evaluate_texts(scores: Sequence[TextScores]) -> dict[str, Estimate]:
    """word_error and phone_error over all clips, with bootstrap intervals; text_accuracy."""

    def error(errors: str, of: str) -> Estimate:
        wrong, all_of = (np.array([getattr(s, name) for s in scores]) for name in (errors, of))
        found = estimate(lambda i: wrong[i].sum() / max(1, all_of[i].sum()), len(scores))
        return found._replace(low=max(0.0, found.low))

    return {
        "word_error": error("word_errors", "words"),
        "phone_error": error("phone_errors", "phones"),
        "text_accuracy": share(np.array([s.text_found for s in scores])),
    }


def score_folder_texts(folder: str | Path, texts: str | Path) -> dict[str, Estimate]:
    """The same of the recordings in a folder, and a CSV file with columns file and text.

    Raises:
        FileNotFoundError: no folder, no audio in it, or no such file.
        ValueError: a recording without a text; names it.
    """
    from ddpmlib.storage.paths import fetch

    with fetch(texts).open(encoding="utf-8-sig", newline="") as stream:
        known = {row["file"]: row["text"] for row in csv.DictReader(stream)}
    paths = find_audio(folder)
    if missing := [path.name for path in paths if not known.get(path.name)]:
        raise ValueError(f"{texts} has no text of {missing[0]}; needed: one of each recording")
    clips = [load_audio(path, RATE).samples for path in paths]
    return evaluate_texts(score_texts(clips, [known[path.name] for path in paths], RATE))


def recognise(clip: np.ndarray) -> list[str]:
    """The words in a clip (samples,) at RATE."""
    decoder = _recogniser()
    decoder.reinit_feat()  # it follows the background noise, also from one clip to the next
    decoder.start_utt()
    decoder.process_raw(as_pcm(np.pad(clip, int(PAD * RATE))).tobytes(), full_utt=True)
    decoder.end_utt()
    return found.hypstr.split() if (found := decoder.hyp()) else []


def _score(clip: np.ndarray, sample_rate: int, words: list[str], decoys: list) -> TextScores:
    import jiwer
    import librosa

    clip = np.asarray(clip, np.float32)
    if sample_rate != RATE:
        clip = librosa.resample(clip, orig_sr=sample_rate, target_sr=RATE)
    clip, lexicon, spoken = clip.clip(-1, 1), Lexicon(spell=True), []
    for word in words:
        spoken += lexicon.pronounce(word)[0]
    recognised, said = recognise(clip), " ".join(words)

    def errors(reference: str, hypothesis: str) -> int:
        found = jiwer.process_words(reference, hypothesis)
        return found.substitutions + found.deletions + found.insertions

    own = score_of(clip, words, lexicon)
    best = max((score_of(clip, other, lexicon) for other in decoys), default=-np.inf)
    return TextScores(
        " ".join(recognised),
        len(words),
        errors(said, " ".join(recognised)),
        len(spoken),
        errors(" ".join(spoken), " ".join(recognise_phones(clip))),
        bool(own > best),
    )


def _decoys(own: list[str], words: list[list[str]], candidates: int) -> list[list[str]]:
    """Other texts of about the same length."""
    different = sorted({tuple(other) for other in words if other != own})
    near = sorted(different, key=lambda other: (abs(len(other) - len(own)), other))
    return [list(other) for other in near[: candidates - 1]]


@lru_cache(maxsize=1)
def _recogniser():
    return metric_package("pocketsphinx").Decoder(loglevel="FATAL")
