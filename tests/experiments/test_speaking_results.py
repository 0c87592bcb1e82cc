"""Speaking experiments: recordings beside what weights say, and the sounds that are stored."""

import shutil
from dataclasses import replace

import pytest
from cases import CORPUS
from conditional import speaking
from small_experiments import shrink

from ddpmlib.audio.recording import load_audio
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.experiments import results, speaking_results
from ddpmlib.metrics import speech
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.text.corpus import Aligner

VOICE = replace(speaking_results.VOICES[0], name="a voice")


def untrained() -> DDPM:
    return replace(speaking(), noise_steps=100)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """Eight recordings with their texts, three of them held out, and weights that say anything."""
    root = tmp_path_factory.mktemp("speaking")
    corpus, weights = root / "data/sample_corpus", root / "data" / VOICE.weights
    for folder in (corpus, weights):
        folder.mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    (root / "data" / speaking_results.EVERYDAY).write_text("Hello there.\nGood night.\nYes.\n")
    lines = (CORPUS / "sentences.csv").read_text("utf-8").splitlines(keepends=True)
    (corpus / "sentences.csv").write_text("".join(lines[:9]), "utf-8")
    for path in sorted(CORPUS.glob("*.ogg"))[:8]:
        shutil.copy(path, corpus)
    untrained().save(weights / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shrink(patch)
        patch.setattr(speech, "_dnsmos", lambda clip: (2.0, 3.0))  # which takes most of the time
        preparation = Preparation(DEFAULT, join=True, validation_share=0.4)
        how = {"metadata": "sentences.csv", "aligner": Aligner(), "workers": 1}
        build_dataset("sample_corpus", "sample_corpus", preparation, **how)
        patch.setattr(speaking_results, "VOICES", (VOICE,))
        patch.setattr(speaking_results, "COUNT", 2)
        patch.setattr(speaking_results, "SOUNDS", 1)
        results.measure(["speaking"])
        yield root


@pytest.fixture(scope="module")
def rows(workbook):
    return {row.pop("row"): row for row in results.load_results()["speaking"]["rows"]}


def test_each_voice_has_rows_of_recordings_and_of_what_it_says(rows):
    kinds = "recordings", "resynthesized", "held-out texts", "everyday sentences"
    assert list(rows) == [f"a voice, {kind}" for kind in kinds]
    for row in rows.values():
        assert set(row) > {"word_error", "phone_error", *speaking_results.METRICS}
        assert all(low <= value <= high for value, low, high in row.values())


def test_recordings_are_understood_and_untrained_weights_are_not(rows):
    understood, noise = rows["a voice, recordings"], rows["a voice, held-out texts"]
    assert understood["phone_error"][0] < 0.2 < 0.7 < noise["phone_error"][0]
    assert understood["word_error"][0] < 0.4 < 0.7 < noise["word_error"][0]
    assert understood["text_accuracy"][0] == 1


def test_the_first_everyday_sentences_are_stored_beside_the_weights(workbook, rows):
    [stored] = sorted((workbook / "data" / VOICE.weights).glob("*.ogg"))
    assert [stored] == speaking_results.sound_files(VOICE)
    said = untrained().say("Hello there.", seed=0, num_steps=25, time_grid="uniform")[0].audio
    assert len(load_audio(stored, 16_000).samples) == pytest.approx(len(said), abs=512)
