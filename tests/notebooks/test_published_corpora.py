"""From a published corpus, as it is downloaded, to sound: prepared, trained, sampled by command."""

import json

import numpy as np
import pytest
import soundfile
from corpora import TREES
from workspace import copy_workbook

from ddpmlib.__main__ import main
from ddpmlib.data.manifest import read_manifest

# Metadata, group, and what else tells the split, as a user would give them.
GIVEN = {
    "vctk": ("texts", "", []),
    "common_voice": ("validated.tsv", "speaker", []),
    "librispeech": ("texts", r"dev-clean/(\d+)/", []),
    "timit": ("texts", r"/(\w+)/\w+\.WAV$", []),
    "speech_commands": ("", r"([^/]+)_nohash_", ["--validation-list", "validation_list.txt"]),
}


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    return copy_workbook(tmp_path_factory.mktemp("published"), 4)


@pytest.mark.parametrize("corpus", GIVEN)
def test_a_published_corpus_ends_with_sound_a_true_split_and_a_summary(
    corpus, workbook, monkeypatch, capsys
):
    monkeypatch.chdir(workbook)
    tree = TREES[corpus](workbook / "data" / "corpora" / corpus)
    metadata, group, more = GIVEN[corpus]
    options = ["--metadata", metadata, "--group", group, "--workers", "1", *more]
    options += ["--validation-share", "0.3"]
    main(["prepare", f"corpora/{corpus}", *options])
    out = capsys.readouterr().out
    assert "s of speech to train on: a model learns less than 300 s by heart" in out
    if metadata:
        assert f"text: of {len(tree.texts)} of " in out
    entries = read_manifest(workbook / "data" / "spectrograms" / corpus)
    assert {entry.file for entry in entries if entry.output} >= set(tree.speakers)
    sides = [
        {entry.file for entry in entries if entry.split == split and entry.file in tree.speakers}
        for split in ("train", "validation")
    ]
    assert all(sides)
    if corpus == "vctk":  # both microphones of a sentence
        takes = [{file.rpartition("_mic")[0] for file in side} for side in sides]
        assert not takes[0] & takes[1]
        assert "6 groups of 12 recordings" in out
    else:
        speakers = [{tree.speakers[file] for file in side} for side in sides]
        assert not speakers[0] & speakers[1]
    run = ["--name", corpus, "--epochs", "2", "--sample-every", "2", "--width", "8"]
    main(["train", "--dataset", f"{corpus}.npy", "--num-samples", "1", *run])
    main(["sample", "--run", corpus, "--count", "2", "--num-steps", "2", "--out", f"out/{corpus}"])
    for i in range(2):
        sound, rate = soundfile.read(workbook / "out" / corpus / f"sample_{i}.wav")
        assert len(sound) / rate > 4
        assert np.abs(sound).max() > 0.01
    assert json.loads((workbook / "out" / corpus / "provenance.json").read_text())["run"] == corpus
