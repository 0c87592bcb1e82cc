"""The recordings behind a data set: by split, and in segments as long as a mel-spectrogram."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cases import write
from small_voice import SMALL, small_voice

from ddpmlib.data import recordings
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation
from ddpmlib.data.recordings import held_out_files, load_recordings, pieces, windows


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    return small_voice(tmp_path, monkeypatch)


def is_noise(sound: np.ndarray) -> bool:
    import librosa

    return bool(librosa.feature.spectral_flatness(y=sound).mean() > 0.1)


def test_training_and_validation_recordings_are_loaded_apart(workbook):
    files = json.loads((workbook / "data/spectrograms/voice.json").read_text())["files"]
    held_out = {f["file"] for f in files if f["split"] == "validation"}
    assert len(held_out) == 2
    for f in held_out:
        noise = np.random.default_rng(0).normal(0, 0.1, 32_000)
        write(workbook / "data/corpora/voice" / f, noise)
    train, validation, params = load_recordings(["voice.npy"], seed=0)
    assert params == SMALL
    assert is_noise(validation)
    assert not is_noise(train)
    assert len(validation) == pytest.approx(2 * 2 * SMALL.sample_rate, rel=0.1)
    assert len(train) == pytest.approx(8 * 2 * SMALL.sample_rate, rel=0.2)


def test_pieces_are_as_long_as_a_mel_and_come_from_held_out_recordings(workbook):
    files = held_out_files("voice.npy")
    assert len(files) == 2
    assert all(path.exists() for path in files)
    narrow = replace(SMALL, n_frames=65)  # 64 hops of 8 ms: 0.512 s
    found = pieces(files, narrow, 5)
    assert [len(piece) for piece in found] == [4096] * 5
    assert len(pieces(files, narrow, 100)) == 7, "four seconds, trimmed, hold no more"


def test_of_too_few_recordings_there_is_one_shorter_piece(workbook):
    wide = replace(SMALL, n_frames=1001)  # 8 s
    files = held_out_files("voice.npy")
    [piece] = pieces(files, wide, 4)
    assert 3.5 * SMALL.sample_rate < len(piece) <= 4 * SMALL.sample_rate
    with pytest.raises(ValueError, match="0 recordings; needed: at least 1"):
        pieces([], wide, 4)


def test_without_held_out_recordings_pieces_come_from_all(workbook):
    build_dataset("corpora/voice", "all", Preparation(SMALL, validation_share=0), workers=1)
    assert len(held_out_files("all.npy")) == 10


def test_more_recordings_than_memory_are_drawn_from(workbook, monkeypatch):
    monkeypatch.setattr(recordings, "MAX_HOURS", 7 / 3600)
    train, validation, _ = load_recordings(["voice.npy"], seed=0)
    assert 7 <= (len(train) + len(validation)) / 8000 < 9.5


def test_windows_are_whole_pieces_one_after_the_other():
    pieces = windows(np.arange(105), 10, 2.0, 9)
    assert [(p[0], len(p)) for p in pieces] == [(0, 20), (20, 20), (40, 20), (60, 20), (80, 20)]
    assert len(windows(np.arange(105), 10, 2.0, 3)) == 3
    assert windows(np.arange(19), 10, 2.0, 3) == []
