"""Conditional experiments: voices beside the real ones, each against its own; a text or none."""

import shutil

import numpy as np
import pytest
import torch
from cases import CORPUS
from small_experiments import METRICS, TINY, shrink

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.audio.recording import load_audio
from ddpmlib.data.build import build_dataset
from ddpmlib.data.dataset import open_splits
from ddpmlib.data.preparation import Preparation
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.experiments import conditional_results, examples, results
from ddpmlib.metrics import speech
from ddpmlib.models.condition import TextCondition
from ddpmlib.models.condition_rows import encode_conditions
from ddpmlib.training.run_directory import read_metrics


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """Two voices of a few recordings, the same recordings with texts, and trainings of seconds."""
    root = tmp_path_factory.mktemp("voices")
    (root / "data/pretrained").mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    corpus = root / "data/sample_corpus"
    corpus.mkdir(parents=True)
    lines = (CORPUS / "sentences.csv").read_text("utf-8").splitlines(keepends=True)
    (corpus / "sentences.csv").write_text("".join(lines[:13]), "utf-8")
    for i, path in enumerate(sorted(CORPUS.glob("*.ogg"))[:12]):
        shutil.copy(path, corpus)
        low = root / "data/corpora/voices/low" / path.name
        low.parent.mkdir(parents=True, exist_ok=True)
        if i % 2:
            shutil.copy(path, low)
        else:
            high = root / "data/corpora/voices/high" / f"{path.stem}.wav"
            high.parent.mkdir(parents=True, exist_ok=True)
            save_wav(high, load_audio(path, 16_000).samples, 22_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shrink(patch)
        patch.setattr(speech, "_dnsmos", lambda clip: (2.0, 3.0))  # which takes most of the time
        preparation = Preparation(overlap=0.5, join=True, validation_share=0.3)
        build_dataset("corpora/voices", "voices", preparation, 1, "folders")
        texts = Preparation(validation_share=0.3)
        build_dataset("sample_corpus", "prompts", texts, 1, "sentences.csv")
        patch.setattr(conditional_results, "COUNT", 2)
        patch.setattr(conditional_results, "SAMPLER", ("ddim", 2))
        epochs = {conditional_results.VOICES: 1, conditional_results.TEXTS: 2}
        patch.setattr(conditional_results, "EPOCHS", epochs)
        patch.setattr(conditional_results, "NOISES", 2)
        patch.setattr(results, "ReferenceSpeech", lambda: pytest.fail("it is not needed"))
        patch.setattr(conditional_results, "SWEEP_COUNT", 2)
        patch.setattr(conditional_results, "GUIDANCE_SCALES", (0.0, 1.0))
        results.measure(["voices", "guidance", "texts"])
        yield root


def test_each_voice_has_a_row_of_real_speech_and_one_of_samples(workbook):
    rows = results.load_results()["voices"]["rows"]
    assert [row["row"] for row in rows] == [
        "high, real",
        "high, conditioned",
        "low, real",
        "low, conditioned",
    ]
    for row in rows:
        assert set(row) >= METRICS | {"speaker_accuracy"}
        found = [row[m] for m in METRICS]  # of one mel there is no interval
        assert all(low is None or low <= value <= high for value, low, high in found)


def test_real_voices_are_recognised_and_those_of_an_untrained_model_are_not(workbook):
    rows = {row["row"]: row for row in results.load_results()["voices"]["rows"]}
    assert all(rows[f"{voice}, real"]["speaker_accuracy"][0] == 1 for voice in ("high", "low"))
    samples = [rows[f"{voice}, conditioned"] for voice in ("high", "low")]
    assert np.mean([row["speaker_accuracy"][0] for row in samples]) == 0.5
    assert all(row["frechet"][0] > 10 * rows["low, real"]["frechet"][0] for row in samples)


def test_a_sample_of_each_voice_is_stored_as_sound(workbook):
    names = {path.name for path in (workbook / "data/pretrained/sounds").iterdir()}
    assert names == {"high_conditioned.ogg", "low_conditioned.ogg"}
    for voice in ("high", "low"):
        sound = load_audio(examples.sound_file(conditional_results.conditioned(voice)), 16_000)
        assert len(sound.samples) == pytest.approx(65_280, abs=1)


def test_samples_are_conditioned_on_the_name_of_a_voice_and_guided(workbook, monkeypatch):
    data, _ = open_splits(conditional_results.VOICES, condition="speaker")
    voices = {
        name: conditional_results.of_voice(data, number)
        for number, name in enumerate(data.condition_spec.names)
    }

    def sample(self, count, *sampler, seed, guidance_scale, condition):
        return np.stack(voices[condition if guidance_scale else "low"][:count])

    monkeypatch.setattr(DDPM, "sample", sample)
    monkeypatch.setattr(conditional_results, "score_clips", lambda clips, rate: [])
    monkeypatch.setattr(conditional_results, "evaluate", lambda scores, reference: {})
    rows = conditional_results.rows_of_guidance()
    found = [(row["guidance_scale"], row["speaker_accuracy"][0]) for row in rows]
    assert found == [(0, 0.5), (1, 1)]
    assert all(row["diversity_db"][0] > 3 for row in rows)
    rows = {row["row"]: row for row in conditional_results.rows_of_voices()}
    samples = [rows[conditional_results.conditioned(voice)] for voice in voices]
    assert all(row["speaker_accuracy"][0] == 1 for row in samples)


def test_there_are_as_many_samples_of_a_voice_as_held_out_mels(workbook, monkeypatch):
    _, held_out = open_splits(conditional_results.VOICES, condition="speaker")
    monkeypatch.setattr(conditional_results, "COUNT", len(held_out) + 1)
    counts = []
    monkeypatch.setattr(conditional_results, "_scores", lambda mels, params: len(mels))
    monkeypatch.setattr(conditional_results, "evaluate", lambda n, known: counts.append(n) or {})
    monkeypatch.setattr(conditional_results, "save_sound", lambda *_: None)
    conditional_results.rows_of_voices()
    (high, high_samples), (low, low_samples) = counts[:2], counts[2:]
    assert (high, low) == (high_samples, low_samples)
    assert 0 < high + low == len(held_out)


def test_both_trainings_on_texts_are_followed_epoch_by_epoch(workbook):
    *epochs, end = results.load_results()["texts"]["rows"]
    assert [row["epoch"] for row in epochs] == [1, 2]
    for column, run in (("unconditional", "unconditional"), ("conditional", "text")):
        metrics = read_metrics(workbook / f"data/runs/experiment_prompts_{run}")
        assert [row[column][0] for row in epochs] == [row["validation_loss"] for row in metrics]
    assert end["row"] == "after training"


def test_each_loss_is_that_of_its_network_and_condition(workbook, monkeypatch):
    """Without any training: one network finds the mel by the true text, the other one never."""
    _, held_out = open_splits(conditional_results.TEXTS, condition="text")
    right = held_out.conditions(range(len(held_out)))
    # A piece of a sentence that fills two mels has no text.
    known = {tuple(row.tolist()): i for i, row in enumerate(right) if row.any()}
    silence = torch.zeros(1, *held_out.params.image_size)

    def by_heart(rows):
        return torch.stack([held_out[known[row]] if any(row) else silence for row in rows])

    def network(spec, mel):
        model = DDPM(TINY.with_condition(spec).build(), held_out.params)

        def forward(x_t, time, rows=None):
            # v = (alpha x_t - x_0) / sigma, Salimans & Ho 2022
            step = (time * model.noise_steps).round().long()
            alpha_bar = model.alpha_bar[step].view(-1, 1, 1, 1)
            x_0 = mel(map(tuple, rows.tolist()) if spec else None)
            return (alpha_bar.sqrt() * x_t - x_0) / (1 - alpha_bar).sqrt()

        model.network.forward = forward
        return model

    null, unconditional = (network(None, lambda _, x_0=x_0: x_0) for x_0 in (0.0, -0.5))
    conditional = network(held_out.condition_spec, by_heart)
    models = {"text": conditional, "none": unconditional}
    monkeypatch.setattr(DDPM, "load", models.get)
    losses = conditional_results.losses_after_training(["none", "text"], held_out)
    true = conditional_results.loss_of_each(conditional, held_out, right)
    assert true[list(known.values())].max() < 1e-4
    assert losses["conditional"][0] == pytest.approx(true.mean())
    for name, model in (("unconditional", unconditional), ("null_condition", null)):
        alone = conditional_results.loss_of_each(model, held_out, right).mean()
        assert losses[name][0] == pytest.approx(alone)
    other, same_length = (losses[name][0] for name in ("other_text", "other_text_same_length"))
    assert min(other, same_length) > losses["conditional"][0] + 0.01
    assert other != same_length


def test_a_text_gets_another_one_of_its_length():
    texts = ["four", "seventeen", "five", "seventeen", "eighteen", "no"]
    spec = TextCondition.of(texts)
    rows = encode_conditions(spec, texts, len(texts))
    words = [spec.decode(row) for row in conditional_results.same_length(rows).numpy()]
    assert words == ["five", "eighteen", "four", "eighteen", "seventeen", "four"]


def test_the_difference_is_known_better_than_the_losses(workbook):
    end = results.load_results()["texts"]["rows"][-1]

    def difference(one: str, other: str) -> float:
        return pytest.approx(end[one][0] - end[other][0])

    assert end["loss_reduction"][0] == difference("unconditional", "conditional")
    by_words = difference("other_text_same_length", "conditional")
    assert end["loss_reduction_by_words"][0] == by_words

    def width(name: str) -> float:
        return end[name][2] - end[name][1]

    assert width("loss_reduction") < min(width("unconditional"), width("conditional"))
