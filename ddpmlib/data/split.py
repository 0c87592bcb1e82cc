"""The split of recordings into training and validation, before segmentation and augmentation."""

import hashlib
from collections.abc import Sequence


def held_out_hashes(hashes: Sequence[str], share: float, seed: int) -> set[str]:
    """Content hashes of the validation split: copies of one recording never lie in both splits.

    Which are drawn depends on the contents and the seed, not on names, order or number. At least
    one of several recordings is held out unless `share` is 0, and at least one is trained on.
    """

    def rank(sha256: str) -> str:
        return hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()

    ranked = sorted(set(hashes), key=rank)
    count = round(share * len(ranked))
    if share > 0 and len(ranked) > 1:
        count = max(1, count)
    return set(ranked[: min(count, len(ranked) - 1)])
