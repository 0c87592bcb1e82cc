"""A folder of recordings -> arrays and a manifest: what is used and skipped; disk and memory."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cases import (
    IGNORE,
    SKIP,
    USE,
    content,
    difficult_recordings,
    full_disk,
    hostile_recordings,
    leftovers,
    one_sentence,
    python,
    vowel,
    write,
)
from joblib.externals.loky import get_reusable_executor

from ddpmlib.audio.decoding import AudioError
from ddpmlib.data import preparation
from ddpmlib.data.manifest import MANIFEST, read_manifest, summary
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.spectrogram.params import DEFAULT

SEQUENTIAL = {"workers": 1}


def check_verdicts(verdicts: dict[str, str], into: Path, entries: list) -> None:
    found = {e.file: USE if e.output else SKIP for e in entries}
    assert found == {name: v for name, v in verdicts.items() if v != IGNORE}
    assert entries == read_manifest(into) == sorted(entries, key=lambda entry: entry.file)
    assert len({e.output for e in entries if e.output}) == sum(bool(e.output) for e in entries)
    for entry in entries:
        if entry.output:
            mels = np.load(into / entry.output, allow_pickle=False)
            assert mels.dtype == np.float16
            assert mels.shape == (entry.mels, 1, *DEFAULT.image_size), entry
            assert np.abs(mels).max() <= 1, entry  # fails for NaN too
            assert (mels.max(axis=(1, 2, 3)) > -0.5).all(), entry
        else:
            assert entry.reason
            assert entry.mels == 0
    assert leftovers(into) == []


def test_every_difficult_recording_is_used_skipped_or_ignored_as_it_should(tmp_path, capfd):
    verdicts = difficult_recordings(tmp_path / "in")
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    check_verdicts(verdicts, tmp_path / "out", entries)
    assert [e.file for e in entries if e.clipped] == ["overdriven.wav"]
    by_name = {e.file: e for e in entries}
    assert by_name["half_a_minute.wav"].mels == 8
    assert by_name["plain.wav"].split == by_name["room/plain.wav"].split
    text = summary(entries, DEFAULT)
    skipped = [name for name, verdict in verdicts.items() if verdict == SKIP]
    assert f"{len(entries) - len(skipped)} of {len(entries)} recordings used" in text
    assert all(f"skipped {name}: {by_name[name].reason}" in text for name in skipped)
    assert "1 clipped, e.g. overdriven.wav" in text
    assert capfd.readouterr().err.count("Warning") < 5


def test_hostile_files_neither_stop_nor_hang_the_batch(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    verdicts = hostile_recordings(tmp_path / "in")
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL)
    check_verdicts(verdicts, tmp_path / "out", entries)
    text = summary(entries, DEFAULT)
    assert text.encode()  # can be printed
    assert "more skipped" in text or text.count("skipped ") == 9
    monkeypatch.setattr(preparation, "_prepare_one", None)  # nothing is left to do
    assert prepare(tmp_path / "in", tmp_path / "out", Preparation(), **SEQUENTIAL) == entries


@pytest.mark.parametrize("error", [MemoryError("too much"), AudioError("bad"), OSError(5, "I/O")])
def test_whatever_is_wrong_with_one_file_the_batch_goes_on(folder, tmp_path, monkeypatch, error):
    load = preparation.stream_audio

    def failing(path, *how):
        if path.name == "03.wav":
            raise error
        return load(path, *how)

    monkeypatch.setattr(preparation, "stream_audio", failing)
    entries = prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert [e.file for e in entries if e.reason] == ["03.wav"]
    assert str(error) in next(e.reason for e in entries if e.reason)


def test_a_file_that_cannot_be_hashed_is_skipped(folder, tmp_path, monkeypatch):
    (folder / "zero.wav").touch()  # or a file of the system, whose reading may never end
    names, opened = [], Path.open

    def refuse(path, *args, **kwargs):
        names.append(path.name)
        if path.name == "05.wav":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    entries = prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert [(e.file, "denied" in e.reason) for e in entries if e.reason] == [
        ("05.wav", True),
        ("zero.wav", False),
    ]
    assert "04.wav" in names
    assert "zero.wav" not in names


def test_no_folder_and_no_audio_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(tmp_path / "missing", tmp_path / "out", Preparation(), **SEQUENTIAL)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"no audio .*\.txt"):
        prepare(tmp_path, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["a_file/out", "/proc/out"])
def test_an_output_folder_that_cannot_be_written_is_named(folder, tmp_path, place):
    (tmp_path / "a_file").write_text("x")
    with pytest.raises(OSError, match="cannot write") as caught:
        prepare(folder, tmp_path / place, Preparation(), **SEQUENTIAL)
    assert one_sentence(caught.value, tmp_path / place)


TOO_LARGE = r"\[Errno 27\] cannot write {}/.*\.npy: File too large"


def test_a_full_disk_stops_the_batch_and_harms_nothing(folder, tmp_path, capsys):
    out = tmp_path / "out"
    prepare(folder, out, Preparation(), **SEQUENTIAL)
    before, entries = content(out), read_manifest(out)
    with full_disk(20_000), pytest.raises(OSError, match="cannot write") as caught:
        prepare(folder, out, Preparation(overlap=0.1), **SEQUENTIAL)  # an array has 32,896 bytes
    assert re.fullmatch(TOO_LARGE.format(out), str(caught.value))
    assert content(out) == before
    assert leftovers(out) == []
    assert read_manifest(out)[: len(entries)] == entries


def test_a_manifest_that_cannot_be_written_is_named(folder, tmp_path, capsys):
    manifest = tmp_path / "out" / MANIFEST
    manifest.parent.mkdir()
    manifest.write_text(50_000 * " ")
    with full_disk(40_000), pytest.raises(OSError, match="cannot write") as caught:
        prepare(folder, tmp_path / "out", Preparation(), **SEQUENTIAL)
    assert one_sentence(caught.value, f"cannot write {manifest}: File too large")
    assert leftovers(tmp_path) == []


def test_two_workers_make_the_same_bytes_as_one_and_a_full_disk_stops_them(tmp_path, capsys):
    difficult_recordings(tmp_path / "in")
    for name in ("half_a_minute.wav", "almost_twelve_seconds.wav"):
        (tmp_path / "in" / name).unlink()
    how, out = Preparation(overlap=0.3, validation_share=0.3), tmp_path / "two"
    one = prepare(tmp_path / "in", tmp_path / "one", how, **SEQUENTIAL)
    too_long = write(tmp_path / "too long.wav", vowel(6))  # its array has 65,664 bytes
    get_reusable_executor().shutdown()  # workers have the limit of the process that starts them
    try:
        with full_disk(50_000):
            assert prepare(tmp_path / "in", out, how, workers=2) == one
            before = content(out)
            assert before == content(tmp_path / "one") != {}
            assert (out / MANIFEST).read_bytes() == (tmp_path / "one" / MANIFEST).read_bytes()
            too_long.rename(tmp_path / "in" / "too long.wav")
            with pytest.raises(OSError, match="cannot write") as caught:
                prepare(tmp_path / "in", out, how, workers=2)
    finally:
        get_reusable_executor().shutdown(kill_workers=True)
    assert re.fullmatch(TOO_LARGE.format(out), str(caught.value))
    assert content(out) == before
    assert leftovers(out) == []


def test_memory_does_not_grow_with_the_number_of_recordings(tmp_path):
    recording = write(tmp_path / "few" / "a.wav", np.tile(vowel(10), 6))  # 4 MB decoded
    (tmp_path / "few" / "b.wav").hardlink_to(recording)
    (tmp_path / "many").mkdir()
    for i in range(12):
        (tmp_path / "many" / f"{i}.wav").hardlink_to(recording)
    peaks = []
    tracemalloc.start()  # counts the arrays of numpy
    try:
        for name in ("few", "many"):
            tracemalloc.reset_peak()
            prepare(tmp_path / name, tmp_path / f"{name}-out", Preparation(), **SEQUENTIAL)
            peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
    finally:
        tracemalloc.stop()
    assert peaks[0] > 4
    assert peaks[1] - peaks[0] < 2, peaks  # MB; the mels of all are 5, their sounds 46


def test_workers_never_load_what_takes_longer_than_their_work(tmp_path):
    write(tmp_path / "a.wav", vowel(2))
    done = python(
        "import sys; from ddpmlib.data.preparation import Preparation, prepare;"
        f"prepare({str(tmp_path)!r}, {str(tmp_path / 'out')!r}, Preparation(), workers=1);"
        "print(*{'torch', 'librosa', 'numba', 'scipy.signal', 'av'} & set(sys.modules))"
    )
    assert done.stdout == "\n", done.stderr
    assert read_manifest(tmp_path / "out")[0].signature


KILLING = """
import os, signal, sys
from ddpmlib.data import preparation
work = preparation._prepare_one
def killed(root, into, entry, how):
    if entry.file in ("03.wav", "08.wav"):
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory is short
    return work(root, into, entry, how)
preparation._prepare_one = killed
preparation.prepare(*sys.argv[1:], preparation.Preparation(), workers=2)
"""


def test_a_worker_that_is_killed_is_one_named_recording(folder, tmp_path):
    done = python(KILLING, folder, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    entries = read_manifest(tmp_path / "out")
    assert len(entries) == 12
    assert {e.file for e in entries if e.reason} == {"03.wav", "08.wav"}
    assert all("was killed" in e.reason for e in entries if e.reason)
    assert leftovers(tmp_path / "out") == []
    again = prepare(folder, tmp_path / "out", Preparation(), workers=2)  # there may be memory now
    assert not [e for e in again if e.reason]


def test_no_workers_are_refused_before_anything_is_made(tmp_path):
    write(tmp_path / "in" / "a.wav", vowel(1.0))
    with pytest.raises(ValueError, match="workers is 0; needed: at least 1, or -1"):
        prepare(tmp_path / "in", tmp_path / "out", Preparation(), workers=0)
    assert not (tmp_path / "out").exists()
