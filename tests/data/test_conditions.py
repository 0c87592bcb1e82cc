"""From metadata to rows beside the mel-spectrograms: whole, in step, refused if damaged."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from cases import tone, write

from ddpmlib.audio.metadata import RecordingMetadata
from ddpmlib.data.build import build_dataset
from ddpmlib.data.conditions import VECTORS, condition_arrays
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.data.manifest import Entry
from ddpmlib.data.preparation import Preparation
from ddpmlib.data.segments import recordings_in_segments, sequences
from ddpmlib.models.condition import ClassCondition, EmbeddingCondition, TextCondition

KNOWN = RecordingMetadata(
    ("text", "speaker"),
    {
        "a": {"text": "Ab", "speaker": "ann"},
        "b": {"text": "ba", "speaker": "bob"},
        "c": {"speaker": "ann"},
    },
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three voices that hum a tone, eight recordings each; nothing is known of the third one's."""
    folder, rows = tmp_path_factory.mktemp("voices"), ["file,text,speaker"]
    for voice, hertz in (("low", 300), ("high", 2500), ("none", 900)):
        for i in range(8):
            write(folder / voice / f"{i}.wav", tone(hertz, 1 + i / 8))
            if voice != "none":
                rows.append(f"{voice}/{i},{voice} {i},{voice}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def voices(recorded, workbook):
    """A workbook whose folder `voices` holds them."""
    shutil.copytree(recorded, workbook / "voices")
    return workbook


@pytest.fixture(scope="module")
def built(recorded, module_workbook):
    """A data set of them, with all kinds of conditions."""
    embed = lambda texts: np.eye(len(texts))  # noqa: E731
    return build_dataset(recorded, "my", None, 1, "metadata.csv", embed)


@pytest.fixture
def npy(built, tmp_path):
    """The same, to be damaged."""
    for path in built.parent.glob("my.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "my.npy"


def test_rows_are_those_of_the_recordings_in_a_mel():
    made = condition_arrays(KNOWN, [["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["x"]])
    spec, rows = made["speaker"]
    assert spec == ClassCondition(2, ("ann", "bob"))
    assert rows.tolist() == [0, 1, 0, 0, 0, -1]
    spec, rows = made["text"]
    assert spec == TextCondition(5, " ab")
    texts = ["".join(" ab"[n - 1] for n in row if n) for row in rows]
    assert texts == ["ab", "ba", "", "ab ba", "", ""]


def test_a_column_without_values_is_left_out():
    assert condition_arrays(KNOWN, [["x"], ["y"]]) == {}


@pytest.mark.parametrize(
    ("embed", "shape"),
    [
        (lambda texts: np.array([[len(t), 1.0] for t in texts]), (3, 2)),
        (lambda texts: [np.ones((len(t), 4)) for t in texts], (3, 5, 4)),
    ],
)
def test_texts_become_vectors_by_what_a_user_gives(embed, shape):
    spec, rows = condition_arrays(KNOWN, [["a"], ["c"], ["a", "b"]], embed)[VECTORS]
    assert rows.shape == shape
    assert rows.shape[1:] == spec.shape
    assert np.isnan(rows[1]).all()
    assert not np.isnan(rows[2]).any()


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (lambda texts: np.ones((1, 4)), "1 vectors of 2 texts"),
        (lambda texts: [np.ones(3), np.ones(4)], r"sizes \[\(1, 3\), \(1, 4\)\]; needed"),
        (lambda texts: [1.0, 2.0], r"2 vectors of 2 texts"),
        (lambda texts: None, "embed made None; needed: vectors"),
        (lambda texts: texts, r"embed made \['Ab', 'ba'\]; needed: vectors"),
        (lambda texts: np.array([[1.0, np.nan]] * 2), r"made \[ 1\. nan\] of 'Ab'; needed: finite"),
        (lambda texts: [np.ones((2, 3)), np.ones((0, 3))], r"of 'ba'; needed: finite numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(embed, message):
    with pytest.raises(ValueError, match=message):
        condition_arrays(KNOWN, [["a"], ["b"]], embed)


def test_a_column_called_vectors_is_not_overwritten():
    known = RecordingMetadata(("text", "vectors"), {"a": {"text": "Ab", "vectors": "x"}})
    with pytest.raises(ValueError, match="a column is called 'vectors'; needed: another name"):
        condition_arrays(known, [["a"]], lambda texts: np.ones((len(texts), 2)))


def test_wrong_metadata_are_refused_before_anything_is_prepared(voices):
    with pytest.raises(FileNotFoundError, match=r"metedata\.csv does not exist"):
        build_dataset("voices", "my", workers=1, metadata="metedata.csv")
    assert not (voices / "data" / "spectrograms" / "my").exists()


def test_the_old_name_of_metadata_is_accepted(voices, capsys):
    path = build_dataset("voices", "my", workers=1, table="folders")
    assert "'table' is now called 'metadata'" in capsys.readouterr().out
    assert SpectrogramSet(path, condition="speaker").condition_spec.n == 3


def test_other_labels_are_other_data(npy):
    columns = ("", "text", "speaker")
    before = {SpectrogramSet(npy, condition=column).fingerprint for column in columns}
    rows = np.load(npy.with_suffix(".speaker.npy"))
    np.save(npy.with_suffix(".speaker.npy"), np.where(rows >= 0, 1 - rows, rows))
    after = SpectrogramSet(npy, condition="speaker").fingerprint
    assert len(before | {after}) == 4


def test_no_mel_has_no_rows(built):
    assert SpectrogramSet(built, condition="speaker").conditions(range(0)).shape == (0,)


def test_vectors_need_texts():
    with pytest.raises(ValueError, match="no text is known"):
        condition_arrays(RecordingMetadata(), [["a"]], lambda texts: [])


@pytest.mark.parametrize("join", [False, True])
def test_a_data_set_has_the_metadata_of_its_recordings(join, voices, capsys):
    with (voices / "voices" / "metadata.csv").open("a") as metadata:
        metadata.write("\nghost,boo,low\n")
    path = build_dataset("voices", "my", Preparation(join=join), 1, "metadata.csv")
    printed = capsys.readouterr().out
    assert "metadata.csv, line 18: file 'ghost' is the name of no recording" in printed
    assert "speaker: of 16 of 24 recordings, such as " in printed
    assert len(json.loads(path.with_suffix(".json").read_text())["rows"]) == 1
    for split in ("train", "validation", None):
        data = SpectrogramSet(path, split, condition="speaker")
        assert data.condition_spec == ClassCondition(2, ("high", "low"))
        rows = data.conditions(range(len(data)))
        assert rows.shape == (len(data),)
        for i, row in enumerate(rows.tolist()):
            voice = data.source(i).split("/")[0]
            assert row == {"high": 0, "low": 1, "none": -1}[voice]
    texts = SpectrogramSet(path, None, condition="text")
    assert texts.conditions([0, len(texts) - 1]).shape == (2, texts.condition_spec.length)
    assert SpectrogramSet(path).conditions([0]) is None


def test_voices_never_share_a_mel(voices):
    path = build_dataset("voices", "my", Preparation(join=True, overlap=0.5), 1, "metadata.csv")
    data = SpectrogramSet(path, None, condition="speaker")
    rows = data.conditions(range(len(data)))
    # Each voice is a tone, with nothing but silence around it.
    tones = [{*data[i][0].argmax(dim=0).tolist()} - {0} for i in range(len(data))]
    assert all(len(bands) == 1 for bands in tones)
    pairs = {(row, *bands) for row, bands in zip(rows.tolist(), tones, strict=True)}
    assert len(pairs) == 3


def test_the_recordings_in_a_joined_mel_are_known():
    entries = [Entry(name, "", "", "train", name, frames=6) for name in "abcd"]
    found = recordings_in_segments(entries, 8, 0.5)
    assert ["".join(e.file for e in mel) for mel in found] == ["ab", "ab", "bc", "cd", "cd"]
    apart = sequences(entries, lambda file: (file in "ab",))
    assert [[e.file for e in sequence] for sequence in apart] == [["a", "b"], ["c", "d"]]


def test_a_set_is_pickled_with_its_condition_but_without_the_rows(built):
    data = SpectrogramSet(built, condition="speaker")
    assert data.__getstate__()["_condition_rows"] is None, "rows would be pickled"
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.conditions([0, 3]), data.conditions([0, 3]))
    assert again.condition_spec == data.condition_spec == ClassCondition(2, ("high", "low"))


def test_folders_are_speakers(voices):
    path = build_dataset("voices", "my", workers=1, metadata="folders")
    data = SpectrogramSet(path, condition="speaker")
    assert data.condition_spec.names == ("high", "low", "none")


def test_an_unknown_condition_is_named_with_those_there_are(npy):
    message = r"condition is 'mood'; my\.npy has: text, speaker, vectors; build it again"
    with pytest.raises(ValueError, match=message):
        SpectrogramSet(npy, condition="mood")
    sidecar = npy.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"conditions": {}}))
    with pytest.raises(ValueError, match=r"condition is 'speaker'; my\.npy has: none"):
        SpectrogramSet(npy, condition="speaker")
    with pytest.raises(ValueError, match="build it again with metadata, and align for those of"):
        SpectrogramSet(npy, condition="text")


@pytest.mark.parametrize("damage", ["gone", "short", "archive", "cut"])
def test_damaged_rows_are_refused(damage, npy):
    rows = npy.with_suffix(".speaker.npy")
    whole = np.load(rows)
    if damage == "gone":
        rows.unlink()
    elif damage == "short":
        np.save(rows, whole[:-1])
    elif damage == "archive":
        with rows.open("wb") as stream:
            np.savez(stream, whole)
    else:
        rows.write_bytes(rows.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"my\.speaker\.npy is not whole; needed: rows of shape"):
        SpectrogramSet(npy, condition="speaker")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.astype(np.float32), "conditions of type float32; needed: int64"),
        (lambda rows: rows + 1, "conditions from 0 to 2; needed: -1 to 1"),
    ],
)
def test_rows_out_of_range_are_refused(change, message, npy):
    rows = npy.with_suffix(".speaker.npy")
    np.save(rows, change(np.load(rows)))
    with pytest.raises(ValueError, match=rf"my\.speaker\.npy: {message}"):
        SpectrogramSet(npy, condition="speaker")


@pytest.mark.parametrize("conditions", [None, ["speaker"], {"speaker": None}, {"speaker": "x"}])
def test_a_description_without_kinds_is_refused(conditions, npy):
    sidecar = npy.with_suffix(".json")
    description = json.loads(sidecar.read_text()) | {"conditions": conditions}
    sidecar.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"is no description|kind of condition is"):
        SpectrogramSet(npy, condition="speaker")


def test_sentence_vectors_go_into_a_file_of_their_own(built):
    data = SpectrogramSet(built, None, condition="vectors")
    assert isinstance(data.condition_spec, EmbeddingCondition)
    assert data.condition_spec.dim == 16
    known = ~data.conditions(range(len(data))).isnan().any(dim=1)
    assert known.sum() == 16
