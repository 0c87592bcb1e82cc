"""Recordings joined into one `.npy` with its description; what a full disk leaves."""

import json

import numpy as np
import pytest
import torch
from cases import RATE, SKIP, difficult_recordings, leftovers, one_sentence, python, vowel, write

from ddpmlib.building import build, combine
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.preparation import Preparation, prepare
from ddpmlib.spectrogram import DEFAULT


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """An empty workbook as the current folder; `voice` holds five recordings and a silent one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    for i, seconds in enumerate((1, 9, 2, 5, 1.5)):
        write(tmp_path / "voice" / f"{i}.wav", vowel(seconds, hz=100 + 20 * i))
    write(tmp_path / "voice" / "x.wav", np.zeros(RATE))
    return tmp_path


def test_build_joins_the_arrays_in_file_order(workbook, capsys):
    how = Preparation(validation_share=0.4)
    path = build("voice", "my", how, workers=1)
    assert path == workbook / "data" / "spectrograms" / "my.npy"
    assert "5 of 6 recordings used" in (text := capsys.readouterr().out)
    assert "skipped x.wav: silent" in text
    entries = prepare("voice", workbook / "data" / "spectrograms" / "my", how, workers=1)
    arrays = [np.load(path.with_suffix("") / e.output) for e in entries if e.output]
    assert [len(a) for a in arrays] == [1, 3, 1, 2, 1]
    np.testing.assert_array_equal(np.load(path), np.concatenate(arrays))
    description = json.loads(path.with_suffix(".json").read_text())
    assert description["skipped"] == [{"file": "x.wav", "reason": entries[-1].reason}]
    assert description["params"] == DEFAULT.to_dict()
    assert [(f["file"], f["first"]) for f in description["files"]] == [
        ("0.wav", 0),
        ("1.wav", 1),
        ("2.wav", 4),
        ("3.wav", 5),
        ("4.wav", 7),
    ]
    sides = {e.file: e.split for e in entries}
    for split in ("train", "validation"):
        data = SpectrogramSet("spectrograms/my.npy", split)
        sources = [data.source(i) for i in range(len(data))]
        assert {sides[name] for name in sources} == {split}
        for i, name in enumerate(sources):
            near = arrays[int(name[0])].astype(np.float32)
            assert any(np.array_equal(data[i], picture) for picture in near)
    assert leftovers(workbook / "data") == []


def test_building_again_with_fewer_recordings_drops_them(workbook):
    build("voice", "my", workers=1)
    (workbook / "voice" / "1.wav").unlink()
    data = SpectrogramSet(build("voice", "my", workers=1), None)
    assert [data.source(i) for i in range(len(data))] == [
        "0.wav",
        "2.wav",
        "3.wav",
        "3.wav",
        "4.wav",
    ]


def test_difficult_recordings_make_a_data_set(workbook):
    verdicts = difficult_recordings(workbook / "in")
    data = SpectrogramSet(build("in", "hard", workers=1), None)
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=len(data))))
    assert batch.dtype == torch.float32
    assert -1 <= batch.min() < batch.max() <= 1
    used = {data.source(i) for i in range(len(data))}
    assert used.isdisjoint(name for name, verdict in verdicts.items() if verdict == SKIP)
    assert "Ärger – 声 🔊.wav" in used


def test_names_that_are_not_utf8_can_be_built_printed_and_read(workbook, capsys):
    (workbook / "voice" / "x.wav").rename(workbook / "voice" / "skipped\udcfe.wav")
    (workbook / "voice" / "0.wav").rename(workbook / "voice" / "bad\udcff.wav")
    data = SpectrogramSet(build("voice", "my", workers=1), None)
    assert data.source(len(data) - 1) == "bad\udcff.wav"
    assert r"skipped skipped\udcfe.wav: silent" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["my.text", "", "a/b", "../a", ".a", "/a", ".."])
def test_a_name_with_a_folder_or_a_point_in_it_is_refused(workbook, name):
    with pytest.raises(ValueError, match=r"name is '.*needed: a plain name"):
        build("voice", name)


def test_no_usable_recording_is_an_error_with_reasons(workbook):
    write(workbook / "dumb" / "a.wav", np.zeros(RATE))
    (workbook / "dumb" / "b.wav").touch()
    with pytest.raises(ValueError, match="none of 2 recordings") as caught:
        build("dumb", "dumb", workers=1)
    assert one_sentence(caught.value, "a.wav: silent", "b.wav: 0 bytes")


FULL_DISK = """
import resource, sys
from ddpmlib.building import build
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
try:
    build("voice", "my", workers=1)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [150_000, 500])
def test_a_full_disk_keeps_the_earlier_pair(workbook, limit):
    (workbook / "voice" / "1.wav").rename(workbook / "1.wav")
    path = build("voice", "my", workers=1)  # 5 pictures, 164 kB
    if limit > 100_000:
        (workbook / "1.wav").rename(workbook / "voice" / "1.wav")
    before = {p: p.read_bytes() for p in path.parent.glob("my.*")}
    done = python(FULL_DISK, limit)
    expected = path if limit > 100_000 else workbook
    assert f"cannot write {expected}" in done.stdout.splitlines()[-1], done
    assert done.stdout.count("cannot write") == 1
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
