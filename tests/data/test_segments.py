"""Segmentation: nothing is lost, nothing leaks from one split into the other."""

import numpy as np
import pytest
from cases import vowel, write

from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.manifest import Entry
from ddpmlib.data.preparation import Preparation
from ddpmlib.data.segments import join, joined_mels, segment


def ramp(frames: int) -> np.ndarray:
    """Every column holds its own number / 1000 (exact to 0.0005 in float16)."""
    return np.tile(np.arange(frames) / 1000, (3, 1)).astype(np.float32)


CUTS = [(1, 0, 1), (255, 0, 1), (256, 0, 1), (257, 0, 2), (512, 0, 2), (513, 0, 3), (900, 0, 4)]
CUTS += [(512, 0.5, 3), (513, 0.5, 4), (900, 0.9, 26), (300, 0.999, 45), (256, 0.9, 1)]


@pytest.mark.parametrize(("frames", "overlap", "count"), CUTS)
def test_segment_gives_the_exact_count_and_every_frame(frames, overlap, count):
    mels = segment(ramp(frames), 256, overlap)
    assert mels.shape == (count, 1, 3, 256)
    assert mels.dtype == np.float16
    columns = np.round(mels[:, 0, 0].astype(float) * 1000).astype(int)
    assert set(range(frames)) == set(columns.ravel()) - {-1000}
    assert columns[0, 0] == 0
    if frames < 256:
        assert (columns[0, frames:] == -1000).all()  # padded with silence at the end
    else:
        assert columns[-1, -1] == frames - 1  # the last one ends where the recording ends
        assert (np.diff(columns, axis=1) == 1).all()
        assert (np.diff(columns[:, 0]) <= round(256 * (1 - overlap)) + 1).all()
        assert (np.diff(columns[:, 0]) > 0).all()


# --- one recording after the other


def recordings(*frames: int, split: str = "train") -> list[Entry]:
    return [Entry(f"{split}{i}", "", "", split, output="x", frames=n) for i, n in enumerate(frames)]


def mels_of(entries: list[Entry]) -> list[np.ndarray]:
    """Of each recording, every column holding the number of the recording / 100."""
    numbers = {entry.file: i for i, entry in enumerate(sorted(entries, key=lambda e: e.file))}
    return [np.full((1, 1, 3, e.frames), numbers[e.file] / 100, np.float16) for e in entries]


@pytest.mark.parametrize("overlap", [0, 0.5, 0.75, 0.99])
@pytest.mark.parametrize("frames", [[5], [20], [21], [3, 50, 1, 20, 7, 19, 90, 2], [1] * 45])
def test_joined_recordings_fill_every_mel(frames, overlap):
    joined = join(recordings(*frames), 20, overlap, seed=0)
    sequence = np.concatenate(mels_of(joined), axis=-1)
    mels = list(joined_mels(joined, mels_of(joined), 20, overlap))
    assert len(mels) == sum(entry.mels for entry in joined)
    expected = segment(sequence[0, 0], 20, overlap)
    np.testing.assert_array_equal(np.concatenate(mels), expected)


def test_a_mel_is_counted_with_the_recording_in_which_it_begins():
    joined = join(recordings(30, 4, 4, 4, 30, 8), 20, 0.5, seed=1)
    sequence = np.repeat(np.arange(6), [entry.frames for entry in joined])
    begins = sequence[np.linspace(0, 60, 7).astype(int)]
    assert [entry.mels for entry in joined] == np.bincount(begins, minlength=6).tolist()


def test_splits_are_never_joined_and_order_is_drawn():
    entries = recordings(*[9] * 30) + recordings(*[9] * 10, split="validation")
    skipped = Entry("bad", "", "", "train", reason="silent")
    joined = join([skipped, *entries], 20, 0, seed=0)
    assert [e.split for e in joined[:-1]] == ["train"] * 30 + ["validation"] * 10
    assert joined[-1] == skipped
    assert joined[:-1] != entries
    assert joined == join([skipped, *entries], 20, 0, seed=0)
    assert joined != join([skipped, *entries], 20, 0, seed=1)
    values = [set(p.ravel()) for p in joined_mels(joined[:-1], mels_of(joined[:-1]), 20, 0)]
    train = {np.float16(i / 100) for i in range(30)}
    assert all(v <= train or not v & train for v in values)


def test_a_joined_data_set_holds_no_padding(workbook):
    for i in range(12):
        write(workbook / "voice" / f"{i}.wav", vowel(1 + i / 10, hz=100 + 20 * i))
    path = build_dataset("voice", "my", Preparation(join=True, overlap=0.5), workers=1)
    data = SpectrogramSet(path)
    assert len(data) == 8  # 16.9 s of 11 recordings, in steps of at most 2.05 s
    silent = [(data[i] == -1).all(dim=1).float().mean().item() for i in range(len(data))]
    assert max(silent) < 0.05
    alone = SpectrogramSet(build_dataset("voice", "my", Preparation(), workers=1))
    assert len(alone) == 11
    assert all((alone[i] == -1).all(dim=1).float().mean() > 0.4 for i in range(11))
    assert len(SpectrogramSet(build_dataset("voice", "my", Preparation(join=True), workers=1))) == 5
