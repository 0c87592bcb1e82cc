"""Recordings joined into one `.npy` with its description; what a full disk leaves."""

import json
import shutil

import numpy as np
import pytest
import torch
from cases import RATE, SKIP, difficult_recordings, full_disk, leftovers, one_sentence, vowel, write

from ddpmlib.data.build import build_dataset, combine
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.preparation import Preparation, prepare
from ddpmlib.spectrogram.params import DEFAULT


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Five recordings and a silent one."""
    folder = tmp_path_factory.mktemp("voice")
    for i, seconds in enumerate((1, 9, 2, 5, 1.5)):
        write(folder / f"{i}.wav", vowel(seconds, hz=100 + 20 * i))
    write(folder / "x.wav", np.zeros(RATE))
    return folder


@pytest.fixture
def voice(recorded, workbook):
    """A workbook whose folder `voice` holds them."""
    shutil.copytree(recorded, workbook / "voice")
    return workbook


def test_build_joins_the_arrays_in_file_order(voice, capsys):
    how = Preparation(validation_share=0.4)
    path = build_dataset("voice", "my", how, workers=1)
    assert path == voice / "data" / "spectrograms" / "my.npy"
    assert "5 of 6 recordings used" in (text := capsys.readouterr().out)
    assert "skipped x.wav: silent" in text
    entries = prepare("voice", voice / "data" / "spectrograms" / "my", how, workers=1)
    arrays = [np.load(path.with_suffix("") / e.output) for e in entries if e.output]
    assert [len(a) for a in arrays] == [1, 3, 1, 2, 1]
    np.testing.assert_array_equal(np.load(path), np.concatenate(arrays))
    description = json.loads(path.with_suffix(".json").read_text())
    assert description["skipped"] == [{"file": "x.wav", "reason": entries[-1].reason}]
    assert description["params"] == DEFAULT.to_dict()
    firsts = {f["file"]: f["first"] for f in description["files"]}
    assert firsts == {"0.wav": 0, "1.wav": 1, "2.wav": 4, "3.wav": 5, "4.wav": 7}
    sides = {e.file: e.split for e in entries}
    for split in ("train", "validation"):
        data = SpectrogramSet("spectrograms/my.npy", split)
        sources = [data.source(i) for i in range(len(data))]
        assert {sides[name] for name in sources} == {split}
        for i, name in enumerate(sources):
            near = arrays[int(name[0])].astype(np.float32)
            assert any(np.array_equal(data[i], mel) for mel in near)
    assert leftovers(voice / "data") == []


def test_building_again_with_fewer_recordings_drops_them(voice):
    build_dataset("voice", "my", workers=1)
    (voice / "voice" / "1.wav").unlink()
    data = SpectrogramSet(build_dataset("voice", "my", workers=1), None)
    assert [data.source(i)[0] for i in range(len(data))] == list("02334")


def test_difficult_recordings_make_a_data_set(workbook):
    verdicts = difficult_recordings(workbook / "in")
    data = SpectrogramSet(build_dataset("in", "hard", workers=1), None)
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=len(data))))
    assert batch.dtype == torch.float32
    assert -1 <= batch.min() < batch.max() <= 1
    used = {data.source(i) for i in range(len(data))}
    assert used.isdisjoint(name for name, verdict in verdicts.items() if verdict == SKIP)
    assert "Ärger – 声 🔊.wav" in used


def test_names_that_are_not_utf8_can_be_built_printed_and_read(voice, capsys):
    (voice / "voice" / "x.wav").rename(voice / "voice" / "skipped\udcfe.wav")
    (voice / "voice" / "0.wav").rename(voice / "voice" / "bad\udcff.wav")
    data = SpectrogramSet(build_dataset("voice", "my", workers=1), None)
    assert data.source(len(data) - 1) == "bad\udcff.wav"
    assert r"skipped skipped\udcfe.wav: silent" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["my.text", "", "a/b", "../a", ".a", "/a", ".."])
def test_a_name_with_a_folder_or_a_point_in_it_is_refused(workbook, name):
    with pytest.raises(ValueError, match=r"name is '.*needed: a plain name"):
        build_dataset("voice", name)


def test_no_usable_recording_is_an_error_with_reasons(workbook):
    write(workbook / "dumb" / "a.wav", np.zeros(RATE))
    (workbook / "dumb" / "b.wav").touch()
    with pytest.raises(ValueError, match="none of 2 recordings") as caught:
        build_dataset("dumb", "dumb", workers=1)
    assert one_sentence(caught.value, "a.wav: silent", "b.wav: 0 bytes")


@pytest.mark.parametrize("limit", [150_000, 500])
def test_a_full_disk_keeps_the_earlier_pair(voice, limit, capsys):
    (voice / "voice" / "1.wav").rename(voice / "1.wav")
    path = build_dataset("voice", "my", workers=1)  # 5 mels, 164 kB
    if limit > 100_000:
        (voice / "1.wav").rename(voice / "voice" / "1.wav")
    before = {p: p.read_bytes() for p in path.parent.glob("my.*")}
    with full_disk(limit), pytest.raises(OSError, match="cannot write") as caught:
        build_dataset("voice", "my", workers=1)
    assert f"cannot write {path if limit > 100_000 else voice}" in str(caught.value)
    assert str(caught.value).count("cannot write") == 1
    assert {p: p.read_bytes() for p in before} == before
    assert len(SpectrogramSet(path, None)) == 5
    assert leftovers(path.parent) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_an_array_that_is_not_whole_is_named_when_joined(tmp_path, damage):
    write(tmp_path / "in" / "a.wav", vowel(1))
    entries = prepare(tmp_path / "in", tmp_path / "out", Preparation(), workers=1)
    array = tmp_path / "out" / entries[0].output
    if damage == "missing":
        array.unlink()
    elif damage == "cut":
        array.write_bytes(array.read_bytes()[:-1])
    else:
        np.save(array, np.zeros((2, 1, 64, 256), np.float16))
    with pytest.raises(ValueError, match=r"whole|needed") as caught:
        combine(entries, tmp_path / "out", Preparation())
    assert one_sentence(caught.value, array)
    assert not list(tmp_path.glob("out.*")) + leftovers(tmp_path)
