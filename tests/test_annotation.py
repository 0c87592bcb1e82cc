"""From a table to rows beside the pictures: whole, in step with them, and refused when damaged."""

import json

import numpy as np
import pytest
import torch
from cases import tone, write

from ddpmlib.annotation import VECTORS, annotate
from ddpmlib.building import build
from ddpmlib.condition import Labels, Tokens, Vectors
from ddpmlib.cutting import recordings_shown, strips
from ddpmlib.dataset import SpectrogramSet
from ddpmlib.manifest import Entry
from ddpmlib.preparation import Preparation
from ddpmlib.table import Table

KNOWN = Table(
    ("text", "speaker"),
    {
        "a": {"text": "Ab", "speaker": "ann"},
        "b": {"text": "ba", "speaker": "bob"},
        "c": {"speaker": "ann"},
    },
)


@pytest.fixture
def voices(tmp_path, monkeypatch):
    """Three voices that hum a tone, eight recordings each; nothing is known of the third one's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    rows = ["file,text,speaker"]
    for voice, hertz in (("low", 300), ("high", 2500), ("none", 900)):
        for i in range(8):
            path = tmp_path / "voices" / voice / f"{i}.wav"
            write(path, tone(hertz, 1 + i / 8))
            if voice != "none":
                rows.append(f"{voice}/{i},{voice} {i},{voice}")
    (tmp_path / "voices" / "table.csv").write_text("\n".join(rows))
    return tmp_path


def test_rows_say_what_the_table_says_of_the_recordings_of_a_picture():
    made = annotate(KNOWN, [["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["x"]])
    kind, rows = made["speaker"]
    assert kind == Labels(2, ("ann", "bob"))
    assert rows.tolist() == [0, 1, 0, 0, 0, -1]
    kind, rows = made["text"]
    assert kind == Tokens(5, " ab")
    texts = ["".join(" ab"[n - 1] for n in row if n) for row in rows]
    assert texts == ["ab", "ba", "", "ab ba", "", ""]


def test_a_column_that_says_nothing_is_left_out():
    assert annotate(KNOWN, [["x"], ["y"]]) == {}


@pytest.mark.parametrize(
    ("embed", "shape"),
    [
        (lambda texts: np.array([[len(t), 1.0] for t in texts]), (3, 2)),
        (lambda texts: [np.ones((len(t), 4)) for t in texts], (3, 5, 4)),
    ],
)
def test_texts_become_vectors_by_what_a_user_gives(embed, shape):
    kind, rows = annotate(KNOWN, [["a"], ["c"], ["a", "b"]], embed)[VECTORS]
    assert rows.shape == shape
    assert rows.shape[1:] == kind.shape
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
        annotate(KNOWN, [["a"], ["b"]], embed)


def test_a_column_called_vectors_is_not_overwritten():
    known = Table(("text", "vectors"), {"a": {"text": "Ab", "vectors": "x"}})
    with pytest.raises(ValueError, match="a column is called 'vectors'; needed: another name"):
        annotate(known, [["a"]], lambda texts: np.ones((len(texts), 2)))


def test_a_wrong_table_is_refused_before_anything_is_prepared(voices):
    with pytest.raises(FileNotFoundError, match=r"tabel\.csv does not exist"):
        build("voices", "my", workers=1, table="tabel.csv")
    assert not (voices / "data" / "spectrograms" / "my").exists()


def test_other_labels_are_other_data(voices):
    path = build("voices", "my", workers=1, table="table.csv")
    columns = ("", "text", "speaker")
    before = {SpectrogramSet(path, condition=column).fingerprint for column in columns}
    rows = np.load(path.with_suffix(".speaker.npy"))
    np.save(path.with_suffix(".speaker.npy"), np.where(rows >= 0, 1 - rows, rows))
    after = SpectrogramSet(path, condition="speaker").fingerprint
    assert len(before | {after}) == 4


def test_no_picture_has_no_rows(voices):
    data = SpectrogramSet(build("voices", "my", workers=1, table="table.csv"), condition="speaker")
    assert data.conditions(range(0)).shape == (0,)


def test_vectors_need_texts():
    with pytest.raises(ValueError, match="no text is known"):
        annotate(Table(), [["a"]], lambda texts: [])


@pytest.mark.parametrize("join", [False, True])
def test_a_data_set_knows_what_the_table_says(join, voices, capsys):
    with (voices / "voices" / "table.csv").open("a") as table:
        table.write("\nghost,boo,low\n")
    path = build("voices", "my", Preparation(join=join), 1, "table.csv")
    assert "table.csv, line 18: file 'ghost' is the name of no recording" in capsys.readouterr().out
    assert len(json.loads(path.with_suffix(".json").read_text())["rows"]) == 1
    for split in ("train", "validation", None):
        data = SpectrogramSet(path, split, condition="speaker")
        assert data.kind == Labels(2, ("high", "low"))
        said = data.conditions(range(len(data)))
        assert said.shape == (len(data),)
        for i, row in enumerate(said.tolist()):
            voice = data.source(i).split("/")[0]
            assert row == {"high": 0, "low": 1, "none": -1}[voice]
    texts = SpectrogramSet(path, None, condition="text")
    said = texts.conditions([0, len(texts) - 1])
    assert said.shape == (2, texts.kind.length)
    assert SpectrogramSet(path).conditions([0]) is None


def test_voices_never_share_a_picture(voices):
    path = build("voices", "my", Preparation(join=True, overlap=0.5), 1, "table.csv")
    data = SpectrogramSet(path, None, condition="speaker")
    said = data.conditions(range(len(data)))
    # Each voice is a tone, with nothing but silence around it.
    heard = [{*data[i][0].argmax(dim=0).tolist()} - {0} for i in range(len(data))]
    assert all(len(bands) == 1 for bands in heard)
    pairs = {(row, *bands) for row, bands in zip(said.tolist(), heard, strict=True)}
    assert len(pairs) == 3


def test_what_a_joined_picture_shows_is_known():
    entries = [Entry(name, "", "", "train", name, frames=6) for name in "abcd"]
    shown = recordings_shown(entries, 8, 0.5)
    assert ["".join(e.file for e in picture) for picture in shown] == ["ab", "ab", "bc", "cd", "cd"]
    apart = strips(entries, lambda file: (file in "ab",))
    assert [[e.file for e in strip] for strip in apart] == [["a", "b"], ["c", "d"]]


def test_a_built_set_is_pickled_with_what_it_knows(voices):
    import pickle

    data = SpectrogramSet(build("voices", "my", workers=1, table="folders"), condition="speaker")
    assert data.__getstate__()["said"] is None, "rows would be pickled"
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.conditions([0, 3]), data.conditions([0, 3]))
    assert data.kind.names == ("high", "low", "none")


def test_an_unknown_condition_is_named_with_those_there_are(voices):
    path = build("voices", "my", workers=1, table="table.csv")
    with pytest.raises(ValueError, match=r"condition is 'mood'; my\.npy has: text, speaker"):
        SpectrogramSet(path, condition="mood")
    path = build("voices", "my", workers=1)
    with pytest.raises(ValueError, match=r"condition is 'speaker'; my\.npy has: none"):
        SpectrogramSet(path, condition="speaker")


@pytest.mark.parametrize("damage", ["gone", "short", "archive", "cut"])
def test_damaged_rows_are_refused(damage, voices):
    path = build("voices", "my", workers=1, table="table.csv")
    rows = path.with_suffix(".speaker.npy")
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
        SpectrogramSet(path, condition="speaker")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.astype(np.float32), "conditions of type float32; needed: int64"),
        (lambda rows: rows + 1, "conditions from 0 to 2; needed: -1 to 1"),
    ],
)
def test_rows_that_stand_for_nothing_are_refused(change, message, voices):
    path = build("voices", "my", workers=1, table="table.csv")
    rows = path.with_suffix(".speaker.npy")
    np.save(rows, change(np.load(rows)))
    with pytest.raises(ValueError, match=rf"my\.speaker\.npy: {message}"):
        SpectrogramSet(path, condition="speaker")


@pytest.mark.parametrize("conditions", [None, ["speaker"], {"speaker": None}, {"speaker": "x"}])
def test_a_description_without_kinds_is_refused(conditions, voices):
    path = build("voices", "my", workers=1, table="table.csv")
    sidecar = path.with_suffix(".json")
    description = json.loads(sidecar.read_text()) | {"conditions": conditions}
    sidecar.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"is no description|kind of condition is"):
        SpectrogramSet(path, condition="speaker")


def test_sentence_vectors_go_into_a_file_of_their_own(voices):
    path = build("voices", "my", None, 1, "table.csv", lambda texts: np.eye(len(texts)))
    data = SpectrogramSet(path, None, condition="vectors")
    assert isinstance(data.kind, Vectors)
    assert data.kind.dim == 16
    known = ~data.conditions(range(len(data))).isnan().any(dim=1)
    assert known.sum() == 16
