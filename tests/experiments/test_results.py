"""The results of notebook 05: measured as it says, stored whole, and what the workbook ships."""

import json
import shutil

import numpy as np
import pytest
import torch
from small_experiments import METRICS, TINY, shrink
from workspace import ROOT

from ddpmlib.audio.download import CorpusError
from ddpmlib.audio.recording import load_audio
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.distillation import learnt_grid
from ddpmlib.experiments import examples, results, training_runs
from ddpmlib.metrics.speech import speech_share
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.vocoder.waveform import image_to_audio


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """A workbook with a few recordings, small weights to evaluate, and trainings of seconds."""
    root = tmp_path_factory.mktemp("results")
    corpus = root / "data/corpora/asterisk-en"
    corpus.mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    for path in sorted((ROOT / "data/sample_corpus").glob("*.ogg"))[:10]:
        shutil.copy(path, corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shrink(patch)
        preparation = Preparation(DEFAULT, overlap=0.75, join=True, validation_share=0.2)
        build_dataset("corpora/asterisk-en", "asterisk-en", preparation, workers=1)
        torch.manual_seed(0)
        (root / "data/pretrained").mkdir()
        DDPM(TINY.build(), DEFAULT).save(root / "data/pretrained/model.safetensors")
        patch.setattr(results, "COUNT", 2)
        patch.setattr(results, "SAMPLER", ("ddim", 2))
        patch.setattr(results, "BASELINE_SAMPLER", ("ddim", 2))
        patch.setattr(results, "STEP_COUNTS", (1,))
        patch.setattr(results, "STEP_COUNT_CLIPS", 2)
        patch.setattr(results, "AMOUNTS", (0.5, 9))
        patch.setattr(examples, "MINUTES", 0.01)
        patch.setattr(training_runs, "EPOCHS", (1, 2))
        patch.setattr(training_runs, "FEWER_RECORDINGS_EPOCHS", 1)
        patch.setattr(results, "GRIDS", {"log_snr": (2,), "learnt": (3,)})
        patch.setattr(results, "GRID_CLIPS", 2)
        patch.setattr(learnt_grid, "FINE", 8)
        results.measure(["table", "minutes", "steps", "grids", "amount"])
        yield root


def test_every_part_is_measured_and_stored(workbook):
    measured = results.load_results()
    rows = {part: content["rows"] for part, content in measured.items()}
    assert {part: len(found) for part, found in rows.items()} == {
        "table": 8,
        "minutes": 2,
        "steps": 3,
        "grids": 2,
        "amount": 2,
    }
    for row in (row for found in rows.values() for row in found):
        assert set(row) >= METRICS
        found = [row[m] for m in METRICS]  # of one clip there is no interval
        assert all(low is None or low <= value <= high for value, low, high in found)
    assert [row["epoch"] for row in rows["minutes"]] == [1, 2]
    assert rows["amount"][0]["minutes"] == pytest.approx(0.5)
    assert rows["amount"][1]["minutes"] < 9, "no more minutes than there are"
    assert all(f"torch {torch.__version__}" in part["measured"] for part in measured.values())


def test_the_table_tells_speech_from_noise(workbook):
    table = {row["row"]: row for row in results.load_results()["table"]["rows"]}
    real, resynthesized = table["real speech"], table["real, resynthesized"]
    assert real["speech_share"][0] > 0.6
    assert resynthesized["dnsmos"][0] < real["dnsmos"][0]
    assert table["real, resynthesized, baseline parameters"]["speech_share"][0] < 0.3
    assert table["noise"]["speech_share"][0] == 0
    assert table["noise"]["frechet"][0] > 10 * real["frechet"][0]
    assert resynthesized["nearest_neighbour_db"][0] > 3, "held-out mels are no copies"
    assert resynthesized["diversity_db"][0] > 3, "different sentences are different"


def test_more_recordings_make_more_mels(workbook):
    folders = sorted((workbook / "data/runs").glob("experiment_*_of_recordings"))
    assert len(folders) == 2
    sets = [json.loads((folder / "config.json").read_text()) for folder in folders]
    assert all(config["dataset"] == "asterisk-en.npy" for config in sets)


def test_generated_sounds_are_stored_and_real_ones_are_not(workbook):
    stored = {path.stem for path in (workbook / "data/pretrained/sounds").iterdir()}
    rows = [*examples.GENERATED, "after epoch 1", "after epoch 2"]
    assert stored == {examples.sound_file(row).stem for row in rows}
    for row in rows:
        sound = load_audio(examples.sound_file(row), examples.RATE)
        assert len(sound.samples) == pytest.approx(65_280, abs=1)


def test_the_sounds_of_the_table_are_those_of_its_rows_and_equally_loud(workbook, monkeypatch):
    corpus = workbook / "data/corpora/asterisk-en"
    monkeypatch.setattr(examples, "fetch_corpus", lambda *_: corpus)
    monkeypatch.setattr(examples, "SENTENCE", next(corpus.glob("*.ogg")).name)
    sounds = examples.table_sounds()
    assert list(sounds) == [row["row"] for row in results.load_results()["table"]["rows"]]
    for row, sound in sounds.items():
        level = np.sqrt(np.mean(np.square(sound)))
        assert level == pytest.approx(examples.NOISE_LEVEL, rel=0.1), row


def test_without_real_recordings_the_other_sounds_are_there(workbook, monkeypatch, capsys):
    def fails(*_):
        raise CorpusError("no network")

    monkeypatch.setattr(examples, "fetch_corpus", fails)
    sounds = examples.table_sounds()
    assert len(sounds) == 5
    assert "real speech" not in sounds
    assert "Without players for real speech: no network" in capsys.readouterr().out


def test_a_part_that_fails_leaves_the_results_as_they_were(workbook, monkeypatch):
    before = results.load_results()

    def fails(speech):
        raise OSError("no space left")

    monkeypatch.setattr(results, "ReferenceSpeech", lambda: None)
    monkeypatch.setitem(results.PARTS, "steps", fails)
    with pytest.raises(OSError, match="no space left"):
        results.measure(["steps"])
    assert results.load_results() == before


def test_an_unknown_part_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(results, "ReferenceSpeech", lambda: pytest.fail("it was measured"))
    with pytest.raises(
        ValueError, match="part is 'tables'; needed: table, minutes, steps, grids, amount"
    ):
        results.measure(["tables"])
    results.measure([])


@pytest.mark.parametrize("run", ["pretrained", "pretrained/student"])
def test_samples_of_the_shipped_weights_are_speech(run):
    """Within seconds, in the notebook's own setting."""
    model = DDPM.load(ROOT / "data" / run)
    sounds = [image_to_audio(mel, model.params) for mel in model.sample(2, seed=3)]
    assert np.mean([speech_share(sound) for sound in sounds]) > 0.85


def test_the_shipped_results_are_whole():
    content = json.loads((ROOT / "data/pretrained" / results.RESULTS).read_text("utf-8"))
    assert set(content) == set(results.PARTS)
    assert all(part["measured"] for part in content.values())
    rows = [row for part in content.values() for row in part["rows"]]
    for value, low, high in (cell for row in rows for cell in row.values() if type(cell) is list):
        assert low is high is None or low <= value <= high
    assert {row["row"] for row in content["table"]["rows"]} > set(examples.GENERATED)
    generated = {*examples.GENERATED, *(row["row"] for row in content["minutes"]["rows"])}
    generated |= {r["row"] for r in content["voices"]["rows"] if r["row"].endswith("conditioned")}
    names = {path.name for path in (ROOT / "data/pretrained/sounds").iterdir()}
    assert names == {examples.sound_file(row).name for row in generated}


def test_what_is_shipped_is_small():
    files = [path for path in (ROOT / "data/pretrained").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 45e6
