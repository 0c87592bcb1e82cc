"""Intelligibility: do clips of speech say what they should? All works offline.

Word error is that of a recogniser that knows English but not the text (pocketsphinx with its own
language model, Huggins-Daines et al. 2006), phone error that of a network without a dictionary
(hama), which has no part in the alignment of the training data. What both find in real recordings
is the floor of every other number. The text accuracy needs less: which of some texts fits a clip
best by forced alignment.
Needs the extra: pip install -e ".[metrics]".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ddpmlib.metrics.speech import RATE, as_pcm, metric_package, usable
from ddpmlib.metrics.statistics import Estimate, estimate, share
from ddpmlib.text.alignment import score_of
from ddpmlib.text.normalisation import BREAKS, spoken_words
from ddpmlib.text.pronunciation import Lexicon, Pronunciation, arpabet

CANDIDATES = 10  # texts among which the right one is looked for; chance is 1 / CANDIDATES
PAD = 0.3  # seconds of silence around a clip, which a recogniser needs to find its first word


@dataclass(frozen=True)
class TextScores:
    """How one clip agrees with its text."""

    recognised: str
    words: int  # of the text
    word_errors: int  # substitutions, deletions and insertions
    phones: int  # of the pronunciation of the text that is nearest to the clip
    phone_errors: int  # as of words
    text_found: bool | None  # whether it fits best among the candidates; None if there is no other


def score_texts(
    clips: Sequence[np.ndarray],
    texts: Sequence[str],
    sample_rate: int,
    workers: int = -1,
    candidates: int = CANDIDATES,
) -> list[TextScores]:
    """Score every clip (samples,) beside its text.

    A clip that is empty or not finite is left out, and a line says so. A silent one counts: all of
    its words are wrong.

    Args:
        candidates: the text of a clip and others of about the same length, at most as many as
            there are different texts; those of the nearest lengths are drawn by a fixed seed.

    Raises:
        ImportError: a metric is not installed; says how to install it.
        ValueError: no clips, or all are left out; another number of texts; or a text with nothing
            to say or in another alphabet.
    """
    from joblib import Parallel, delayed

    for module in ("rapidfuzz", "pocketsphinx", "hama"):
        metric_package(module)
    if not len(clips) or len(clips) != len(texts):
        raise ValueError(f"{len(clips)} clips and {len(texts)} texts; needed: one each, at least 1")
    words = [_without_breaks(text) for text in texts]
    jobs = (
        delayed(_score)(clips[i], sample_rate, words[i], _decoys(i, words, candidates))
        for i in usable(clips, shortest=1)
    )
    return list(Parallel(n_jobs=workers)(jobs))


def evaluate_texts(scores: Sequence[TextScores]) -> dict[str, Estimate]:
    """Of a set of clips, with intervals of 95 % over its clips.

    word_error, phone_error: errors of all clips / words or phones of all texts; a recogniser that
        inserts many has more than 1.
    text_accuracy: share of the clips that fit their own text best, where there are others.
    """

    def error(errors: str, of: str) -> Estimate:
        wrong, all_of = (np.array([getattr(s, name) for s in scores]) for name in (errors, of))
        found = estimate(lambda i: wrong[i].sum() / max(1, all_of[i].sum()), len(scores))
        return found.within(0.0)

    both = {
        "word_error": error("word_errors", "words"),
        "phone_error": error("phone_errors", "phones"),
    }
    found = np.array([s.text_found for s in scores if s.text_found is not None])
    return both | ({"text_accuracy": share(found)} if len(found) else {})


def recognise(clip: np.ndarray) -> list[str]:
    """The words in a clip (samples,) at RATE, written as `spoken_words` writes those of a text."""
    decoder = _recogniser()
    decoder.reinit_feat()  # it follows the background noise, also from one clip to the next
    decoder.start_utt()
    decoder.process_raw(as_pcm(np.pad(clip, int(PAD * RATE))).tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return _as_in_texts(found.hypstr) if found and found.hypstr else []


def hear_phones(clip: np.ndarray) -> list[str]:
    """The phones in a clip (samples,) at RATE, in ARPAbet, without those of other languages."""
    symbols = _phone_recogniser()(clip, RATE).phonemes
    return [phone for symbol in symbols for phone in arpabet(symbol)]


def _score(clip: np.ndarray, sample_rate: int, words: list[str], decoys: list) -> TextScores:
    import librosa
    from rapidfuzz.distance import Levenshtein

    clip = np.asarray(clip, np.float32)
    if sample_rate != RATE:
        clip = librosa.resample(clip, orig_sr=sample_rate, target_sr=RATE)
    clip, lexicon = clip.clip(-1, 1), Lexicon(spell=True)
    recognised, sounds = recognise(clip), hear_phones(clip)
    phones = _nearest(sounds, [lexicon.pronounce(word) for word in words])
    own, found = score_of(clip, words, lexicon), None
    if decoys:  # minus infinity is no fit, and fits no better than another
        found = all(score_of(clip, other, lexicon) < own for other in decoys)
    return TextScores(
        " ".join(recognised),
        len(words),
        Levenshtein.distance(words, recognised),
        len(phones),
        Levenshtein.distance(phones, sounds),
        found,
    )


def _nearest(sounds: list[str], pronunciations: list[list[Pronunciation]]) -> list[str]:
    """The pronunciation of a text with the fewest errors, its words chosen one after another.

    "The" before a vowel or "data" in either form is no error; a tie goes to the more usual form.
    """
    from rapidfuzz.distance import Levenshtein

    chosen = [forms[0] for forms in pronunciations]
    for i, forms in enumerate(pronunciations):
        if len(forms) > 1:
            before, behind = sum(chosen[:i], ()), sum(chosen[i + 1 :], ())
            chosen[i] = min(
                forms, key=lambda form: Levenshtein.distance(before + form + behind, sounds)
            )
    return [phone for form in chosen for phone in form]


def _decoys(index: int, words: list[list[str]], candidates: int) -> list[list[str]]:
    """Other texts, drawn from those of the nearest lengths."""
    own = words[index]
    different = sorted({tuple(other) for other in words if other != own})
    near = sorted(different, key=lambda other: abs(len(other) - len(own)))[: 2 * (candidates - 1)]
    drawn = np.random.default_rng(index).permutation(len(near))[: candidates - 1]
    return [list(near[i]) for i in drawn]


def _as_in_texts(hypothesis: str) -> list[str]:
    """Words of the recogniser's dictionary, which writes "mr. a. b. smith", as those of texts."""
    letters = ("ay" if word == "a." else word for word in hypothesis.split())
    return _without_breaks(" ".join(letters))


def _without_breaks(text: str) -> list[str]:
    return [word for word in spoken_words(text) if word not in BREAKS]


@lru_cache(maxsize=1)
def _recogniser():
    return metric_package("pocketsphinx").Decoder(loglevel="FATAL")


@lru_cache(maxsize=1)
def _phone_recogniser():
    return metric_package("hama").ASRModel()
