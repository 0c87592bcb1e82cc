"""Praat TextGrids: alignments that somebody else made, in any language."""

from pathlib import Path

from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.pronunciation import PHONES, SILENCE

SILENT = ("", "sil", "sp", "spn", "<eps>", "silence")  # names of pauses in TextGrids


def textgrid_beside(recording: Path) -> Path | None:
    """The TextGrid with the name of a recording, if there is one."""
    return path if (path := recording.with_suffix(".TextGrid")).is_file() else None


def read_textgrid(
    path: Path, phone_tier: str, word_tier: str, offset: float, seconds: float
) -> Alignment:
    """An alignment out of two interval tiers; without a word tier it has no words.

    Args:
        offset: of the cleaned recording in the recording, in seconds.
        seconds: of the cleaned recording.

    Raises:
        ValueError: not a TextGrid, or without such a tier of phones; names the tiers there are.
    """
    from praatio import textgrid

    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    except Exception as error:  # praatio raises many kinds
        raise ValueError(f"{path.name} is no TextGrid: {error}") from error
    if phone_tier not in grid.tierNames:
        have = ", ".join(grid.tierNames) or "none"
        raise ValueError(f"{path.name} has no tier {phone_tier!r}; it has: {have}")

    def intervals(tier: str) -> list[Interval]:
        entries = grid.getTier(tier).entries if tier in grid.tierNames else []
        timed = [(label, start - offset, end - offset) for start, end, label in entries]
        # Praat's times are exact, the ends of a trimmed recording cut through its pauses.
        cut = [(label, max(0.0, start), min(end, seconds)) for label, start, end in timed]
        return [Interval(label.strip(), start, end) for label, start, end in cut if end > start]

    phones = [Interval(_phone(i.name), i.start, i.end) for i in intervals(phone_tier)]
    if not any(phone.name != SILENCE for phone in phones):
        raise ValueError(f"{path.name} has no phone in tier {phone_tier!r}; needed: at least 1")
    words = [i for i in intervals(word_tier) if i.name.lower() not in SILENT]
    return Alignment(tuple(phones), tuple(words))


def _phone(name: str) -> str:
    """SILENCE for a pause; of English, AH for the AH0 or AH1 of other aligners."""
    if name.lower() in SILENT:
        return SILENCE
    return plain if (plain := name.rstrip("012")) in PHONES else name
