"""The answer of notebook 05: measured as it says, kept whole, and what the workbook ships."""

import json
import shutil

import numpy as np
import pytest
import torch
from workspace import ROOT

from ddpmlib import answer, trials
from ddpmlib.audio import load_audio
from ddpmlib.building import build
from ddpmlib.corpora import CorpusError
from ddpmlib.ddpm import DDPM
from ddpmlib.judge import speech_share
from ddpmlib.preparation import Preparation
from ddpmlib.spectrogram import DEFAULT, image_to_audio
from ddpmlib.unet import UNetConfig

MEASURES = {"speech_share", "dnsmos", "dnsmos_p808", "phones_per_second", "phone_entropy"}
MEASURES |= {"bigrams_per_1000", "bigram_divergence", "frechet"}
TINY = UNetConfig(width=8, multipliers=(1, 2), heads=2)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """A workbook with a few recordings, small weights to judge, and trainings of seconds."""
    root = tmp_path_factory.mktemp("answer")
    corpus = root / "data/corpora/asterisk-en"
    corpus.mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    for path in sorted((ROOT / "data/sample_corpus").glob("*.ogg"))[:16]:
        shutil.copy(path, corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        preparation = Preparation(DEFAULT, overlap=0.75, join=True, validation_share=0.2)
        build("corpora/asterisk-en", "asterisk-en", preparation, workers=1)
        torch.manual_seed(0)
        (root / "data/pretrained").mkdir()
        DDPM(TINY.build(), DEFAULT).save(root / "data/pretrained/model.safetensors")
        patch.setattr(answer, "LOOKS", (1, 2))
        patch.setattr(answer, "LOOKS_CLIPS", 2)
        patch.setattr(answer.Speech.measure_model, "__defaults__", (("ddim", 2), 0, False, 2.0))
        patch.setattr(answer, "ORIGINAL_SAMPLER", ("ddim", 2))
        patch.setattr(answer, "MINUTES", 0.02)
        patch.setattr(answer, "AMOUNTS", (0.5, 9))
        patch.setattr(answer.Speech.__init__, "__defaults__", ("asterisk-en.npy", 3))
        patch.setattr(trials, "EPOCHS", (1, 2))
        patch.setattr(trials.epoch_by_epoch, "__defaults__", ((1, 2),))
        patch.setattr(trials.on_fewer_recordings, "__defaults__", (1,))
        patch.setattr(trials, "UNetConfig", lambda width=8: TINY)
        patch.setattr(trials, "OriginalConfig", lambda: TINY)
        answer.measure_again(["table", "minutes", "steps", "amount"])
        yield root


def test_every_part_is_measured_and_kept(workbook):
    measured = answer.load_answer()
    rows = {part: content["rows"] for part, content in measured.items()}
    assert {part: len(found) for part, found in rows.items()} == {
        "table": 8,
        "minutes": 2,
        "steps": 6,
        "amount": 2,
    }
    for row in (row for found in rows.values() for row in found):
        assert set(row) >= MEASURES
        assert all(low <= value <= high for value, low, high in (row[m] for m in MEASURES))
    assert [row["epoch"] for row in rows["minutes"]] == [1, 2]
    assert rows["amount"][0]["minutes"] == pytest.approx(0.5)
    assert rows["amount"][1]["minutes"] < 9, "no more minutes than there are"
    assert all(f"torch {torch.__version__}" in part["measured"] for part in measured.values())


def test_the_table_tells_speech_from_noise(workbook):
    table = {row["row"]: row for row in answer.load_answer()["table"]["rows"]}
    real, through = table["real speech"], table["real, through the grid"]
    assert real["speech_share"][0] > 0.6
    assert through["dnsmos"][0] < real["dnsmos"][0]
    assert table["real, through the original's grid"]["speech_share"][0] < 0.3
    assert table["noise"]["speech_share"][0] == 0
    assert table["noise"]["frechet"][0] > 10 * real["frechet"][0]
    assert through["nearest_db"][0] > 3, "held-out pictures are no copies"
    assert through["spread_db"][0] > 3, "different sentences are different"


def test_more_recordings_make_more_pictures(workbook):
    folders = sorted((workbook / "data/runs").glob("trial_*_of_recordings"))
    assert len(folders) == 2
    sets = [json.loads((folder / "config.json").read_text()) for folder in folders]
    assert all(config["dataset"] == "asterisk-en.npy" for config in sets)


def test_generated_sounds_are_kept_and_real_ones_are_not(workbook):
    kept = {path.stem for path in (workbook / "data/pretrained/sounds").iterdir()}
    rows = [answer.SHIPPED, answer.LESS_GUIDED, answer.THIS_RECIPE, answer.ORIGINAL_RECIPE]
    rows += ["after epoch 1", "after epoch 2"]
    assert kept == {answer.sound_file(row).stem for row in rows}
    for row in rows:
        sound = load_audio(answer.sound_file(row), answer.RATE)
        assert len(sound.samples) == pytest.approx(65_280, abs=1)


def test_the_sounds_of_the_table_are_those_of_its_rows_and_equally_loud(workbook, monkeypatch):
    corpus = workbook / "data/corpora/asterisk-en"
    monkeypatch.setattr(answer, "fetch_corpus", lambda *_: corpus)
    monkeypatch.setattr(answer, "SENTENCE", next(corpus.glob("*.ogg")).name)
    sounds = answer.sounds_of_table()
    assert list(sounds) == [row["row"] for row in answer.load_answer()["table"]["rows"]]
    for row, sound in sounds.items():
        level = np.sqrt(np.mean(np.square(sound)))
        assert level == pytest.approx(answer.NOISE_LEVEL, rel=0.1), row


def test_without_real_recordings_the_other_sounds_are_there(workbook, monkeypatch, capsys):
    def fails(*_):
        raise CorpusError("no network")

    monkeypatch.setattr(answer, "fetch_corpus", fails)
    sounds = answer.sounds_of_table()
    assert len(sounds) == 5
    assert "real speech" not in sounds
    assert "Without players for real speech: no network" in capsys.readouterr().out


def test_a_part_that_fails_leaves_the_answer_as_it_was(workbook, monkeypatch):
    before = answer.load_answer()

    def fails(speech):
        raise OSError("no space left")

    monkeypatch.setitem(answer.PARTS, "steps", fails)
    with pytest.raises(OSError, match="no space left"):
        answer.measure_again(["steps"])
    assert answer.load_answer() == before


def test_an_unknown_part_is_refused_before_anything_is_heard(monkeypatch):
    monkeypatch.setattr(answer, "Speech", lambda: pytest.fail("it listened"))
    with pytest.raises(ValueError, match="part is 'tables'; needed: table, minutes, steps, amount"):
        answer.measure_again(["tables"])
    answer.measure_again([])


def test_shipped_weights_speak():
    """Within seconds, in the notebook's own setting."""
    model = DDPM.load(ROOT / "data/pretrained")
    sounds = [image_to_audio(picture, model.params) for picture in model.sample(4, seed=3)]
    assert np.mean([speech_share(sound) for sound in sounds]) > 0.85


def test_the_shipped_answer_is_whole():
    content = json.loads((ROOT / "data/pretrained" / answer.ANSWER).read_text("utf-8"))
    assert set(content) == set(answer.PARTS)
    assert all(part["measured"] for part in content.values())
    rows = [row for part in content.values() for row in part["rows"]]
    for value, low, high in (cell for row in rows for cell in row.values() if type(cell) is list):
        assert low is high is None or low <= value <= high
    generated = [answer.SHIPPED, answer.LESS_GUIDED, answer.THIS_RECIPE, answer.ORIGINAL_RECIPE]
    assert {row["row"] for row in content["table"]["rows"]} > set(generated)
    generated += [row["row"] for row in content["minutes"]["rows"]]
    assert all(
        (ROOT / "data/pretrained/sounds" / answer.sound_file(r).name).exists() for r in generated
    )


def test_what_is_shipped_is_small():
    files = [path for path in (ROOT / "data/pretrained").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
