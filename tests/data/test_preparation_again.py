"""Preparing again does only what is new; what an interrupt leaves; the split."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cases import content, leftovers, vowel, write

from ddpmlib.audio.decoding import AudioError
from ddpmlib.data import preparation
from ddpmlib.data.manifest import MANIFEST, read_manifest
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.spectrogram.params import PRESETS, SpectrogramParams

ALL = [f"{i:02}.wav" for i in range(12)]


@pytest.fixture
def again(monkeypatch, folder, tmp_path):
    """Function(**settings) -> names of the recordings that a prepare really worked on."""
    names, work = [], preparation._prepare_one

    def noting(root, into, entry, how):
        names.append(entry.file)
        return work(root, into, entry, how)

    def call(**settings):
        names.clear()
        entries = prepare(folder, tmp_path / "out", Preparation(**settings), workers=1)
        assert entries == read_manifest(tmp_path / "out")
        assert set(content(tmp_path / "out")) == {e.output for e in entries if e.output}
        return sorted(names)

    monkeypatch.setattr(preparation, "_prepare_one", noting)
    return call


def splits(folder, into, **settings) -> dict[str, str]:
    entries = prepare(folder, into, Preparation(**settings), workers=1)
    return {entry.file: entry.split for entry in entries}


# --- resuming


def test_a_second_call_prepares_nothing(again, tmp_path):
    assert again() == ALL
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.npy")}
    assert again() == []
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_only_new_changed_and_renamed_recordings_are_prepared(again, folder):
    again(validation_share=0)
    write(folder / "new.wav", vowel(0.2))
    write(folder / "03.wav", vowel(0.3))
    (folder / "04.wav").rename(folder / "renamed.wav")
    os.utime(folder / "05.wav", (0, 0))  # only its date differs
    assert again(validation_share=0) == ["03.wav", "new.wav", "renamed.wav"]


def test_a_lost_or_cut_short_or_other_array_is_made_again(again, tmp_path):
    again()
    first, second, third = sorted((tmp_path / "out").glob("*.npy"))[:3]
    whole = second.read_bytes()
    first.unlink()
    second.write_bytes(whole[:-1])
    np.save(third, np.zeros((2, 1, 64, 256), np.float16))
    assert again() == ["00.wav", "01.wav", "02.wav"]
    assert second.read_bytes() == whole


def test_recordings_that_are_gone_leave_manifest_and_folder(again, folder):
    again(validation_share=0)
    (folder / "00.wav").unlink()
    assert again(validation_share=0) == []  # the fixture compares manifest and arrays


@pytest.mark.parametrize(
    "settings",
    [
        {"params": SpectrogramParams(hop_length=128)},
        {"params": PRESETS["80 mels"]},
        {"overlap": 0.5},
    ],
)
def test_other_settings_prepare_everything(again, settings):
    again()
    assert again(**settings) == ALL
    assert again(**settings) == []


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large")  # the shortest have 0.1 s
def test_only_training_recordings_are_augmented_and_only_they_are_redone(again, folder, tmp_path):
    again(validation_share=0.75)
    entries = read_manifest(tmp_path / "out")
    train = [entry.file for entry in entries if entry.split == "train"]
    assert len(train) == 3
    assert again(validation_share=0.75, augment=True) == train
    augmented = read_manifest(tmp_path / "out")
    assert [entry.mels for entry in augmented] == [21 if e.file in train else 1 for e in entries]
    assert again(validation_share=0.75, augment=True) == []
    how = Preparation(validation_share=0.75, augment=True)
    assert prepare(folder, tmp_path / "fresh", how, workers=1) == augmented
    assert again(validation_share=0.75) == train


@pytest.mark.parametrize("cut_at", [-1, -3, -30, -150])
def test_a_manifest_line_cut_short_costs_one_recording(again, tmp_path, folder, cut_at):
    (folder / "11.wav").rename(folder / "öö\u2028.wav")
    again()
    manifest = tmp_path / "out" / MANIFEST
    lines = manifest.read_bytes()
    manifest.write_bytes(lines[:cut_at])
    assert again() == ([] if cut_at == -1 else ["öö\u2028.wav"])
    manifest.write_bytes(lines[: lines.rindex("öö".encode()) + 1])  # through a character
    assert again() == ["öö\u2028.wav"]
    assert manifest.read_bytes() == lines


def test_a_second_crash_after_a_cut_line_loses_nothing_more(folder, tmp_path, monkeypatch):
    work = preparation._prepare_one

    def stopped_at_the_fourth(root, into, entry, how):
        if entry.file == "03.wav":
            raise KeyboardInterrupt
        return work(root, into, entry, how)

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text('{"file": "00.w')
    monkeypatch.setattr(preparation, "_prepare_one", stopped_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tmp_path / "out", Preparation(), workers=1)
    assert [entry.file for entry in read_manifest(tmp_path / "out")] == ALL[:3]


def test_lines_that_mean_nothing_are_left_out(again, tmp_path):
    again()
    with (tmp_path / "out" / MANIFEST).open("a") as stream:
        stream.write('5\n[]\n{"file": "x"}\nnull\n{"a": 1}\n')
    assert again() == []


def test_a_batch_stopped_midway_never_passes_off_arrays_of_other_settings(again, tmp_path):
    again()
    before = (tmp_path / "out" / MANIFEST).read_text()
    again(overlap=0.5, params=SpectrogramParams(fmin=100.0))
    right = content(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text(before)  # as if stopped before its first line
    again()
    assert set(content(tmp_path / "out")).isdisjoint(right)
    assert not set(content(tmp_path / "out").values()) & set(right.values())


INTERRUPTED = """
import signal, sys
from ddpmlib.data.preparation import Preparation, prepare
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
prepare(*sys.argv[1:], Preparation(), workers=2)
"""


def test_ctrl_c_keeps_what_is_finished(again, folder, tmp_path):
    write(folder / "00.wav", vowel(30))
    for i in range(80):
        os.link(folder / "00.wav", folder / f"copy{i:03}.wav")
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(folder), str(out)],
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while len(read_manifest(out)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGINT)  # to all its processes, as a terminal does
    errors = child.communicate(timeout=30)[1]
    assert child.returncode != 0, errors
    assert b"KeyboardInterrupt" in errors
    finished = read_manifest(out)
    assert 5 <= len(finished) < 92
    assert all(np.load(out / entry.output).shape[0] == entry.mels for entry in finished)
    rest = again()
    assert set(rest) == {p.name for p in folder.iterdir()} - {entry.file for entry in finished}
    assert leftovers(out) == []


# --- the split


def test_copies_of_a_recording_lie_on_the_same_side(folder, tmp_path):
    for name in ALL:
        shutil.copy(folder / name, folder / f"copy of {name}")
    sides = splits(folder, tmp_path / "out", validation_share=0.4)
    assert list(sides.values()).count("validation") == 2 * 5
    assert all(sides[name] == sides[f"copy of {name}"] for name in ALL)


def test_adding_a_recording_moves_at_most_one(folder, tmp_path):
    before = splits(folder, tmp_path / "out", validation_share=0.3)
    for i in range(8):
        write(folder / f"new{i}.wav", vowel(0.1, hz=200 + i))
        after = splits(folder, tmp_path / "out", validation_share=0.3)
        assert sum(after[name] != side for name, side in before.items()) <= 1
        before = after


def test_names_and_places_do_not_shape_the_split_but_the_seed_does(folder, tmp_path):
    sides = splits(folder, tmp_path / "out", validation_share=0.5)
    shutil.copytree(folder, tmp_path / "elsewhere" / "deeper")
    moved = splits(tmp_path / "elsewhere", tmp_path / "out2", validation_share=0.5)
    assert {f"deeper/{name}": side for name, side in sides.items()} == moved
    assert sides != splits(folder, tmp_path / "out", validation_share=0.5, seed=1)


@pytest.mark.parametrize(
    ("files", "share", "held_out"),
    [(1, 0.1, 0), (1, 0.9, 0), (2, 0.1, 1), (2, 0.9, 1), (12, 0, 0), (12, 0.1, 1), (12, 0.99, 11)],
)
def test_there_is_always_something_to_train_on(folder, tmp_path, files, share, held_out):
    for name in ALL[files:]:
        (folder / name).unlink()
    sides = list(splits(folder, tmp_path / "out", validation_share=share).values())
    assert sides.count("validation") == held_out


@pytest.mark.parametrize("field", ["overlap", "validation_share"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan")])
def test_shares_lie_between_0_and_1(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Preparation(**{field: value})


def test_parameters_without_overlap_of_windows_are_refused_at_once():
    with pytest.raises(ValueError, match="hop_length 2067"):
        Preparation(PRESETS["12 s, original"])


def test_equal_names_in_other_folders_keep_their_own_mels(tmp_path):
    names = ["a.wav", "b/a.wav", "b_a.wav", "b/a/a.wav", "a.flac", "b a.wav", "b-a.wav"]
    for i, name in enumerate(names):
        write(tmp_path / "in" / name, vowel(0.2, hz=100 + 20 * i))
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), workers=1)
    assert len(set(content(tmp_path / "out").values())) == len(names) == len(entries)
    assert {e.file for e in read_manifest(tmp_path / "out")} == set(names)


@pytest.mark.parametrize(
    ("error", "tried_again"), [(AudioError("damaged"), []), (MemoryError("too much"), ["03.wav"])]
)
def test_only_errors_that_lie_in_the_file_are_remembered(error, tried_again, again, monkeypatch):
    load = preparation.stream_audio

    def failing(path, *how):
        if path.name == "03.wav":
            raise error
        return load(path, *how)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "stream_audio", failing)
        again()
    assert again() == tried_again
