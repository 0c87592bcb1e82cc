"""What a network is told: voices beside the real ones, each against its own; a text or none."""

import shutil

import numpy as np
import pytest
import torch
from cases import CORPUS
from test_answer import MEASURES, TINY

from ddpmlib import answer, condition, kept, told, trials
from ddpmlib.audio import load_audio, save_wav
from ddpmlib.building import build
from ddpmlib.dataset import open_splits
from ddpmlib.ddpm import DDPM
from ddpmlib.preparation import Preparation
from ddpmlib.run import read_metrics


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """Two voices of a few recordings, the same recordings with texts, and trainings of seconds."""
    root = tmp_path_factory.mktemp("voices")
    (root / "data/pretrained").mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    corpus = root / "data/sample_corpus"
    corpus.mkdir(parents=True)
    lines = (CORPUS / "sentences.csv").read_text("utf-8").splitlines(keepends=True)
    (corpus / "sentences.csv").write_text("".join(lines[:21]), "utf-8")
    for i, path in enumerate(sorted(CORPUS.glob("*.ogg"))[:20]):
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
        preparation = Preparation(overlap=0.5, join=True, validation_share=0.3)
        build("corpora/voices", "voices", preparation, 1, "folders")
        texts = Preparation(validation_share=0.3)
        build("sample_corpus", "prompts", texts, 1, "sentences.csv")
        patch.setattr(told, "COUNT", 3)
        patch.setattr(told, "SAMPLER", ("ddim", 2))
        patch.setattr(told, "EPOCHS", {told.VOICES: 1, told.TEXTS: 2})
        patch.setattr(told, "NOISES", 2)
        patch.setattr(trials, "UNetConfig", lambda width=8: TINY)
        patch.setattr(answer, "Speech", lambda: pytest.fail("other recordings were asked for"))
        patch.setattr(told, "FEWER", 2)
        patch.setattr(told, "GUIDANCES", (0.0, 1.0))
        answer.measure_again(["voices", "guidance", "texts"])
        yield root


def test_each_voice_has_a_row_of_its_own_and_one_that_was_asked_for(workbook):
    rows = answer.load_answer()["voices"]["rows"]
    assert [row["row"] for row in rows] == [
        "high, real",
        "high, asked for",
        "low, real",
        "low, asked for",
    ]
    for row in rows:
        assert set(row) >= MEASURES | {"heard"}
        assert all(low <= value <= high for value, low, high in (row[m] for m in MEASURES))


def test_real_voices_are_heard_as_themselves_and_those_of_an_untrained_model_are_not(workbook):
    rows = {row["row"]: row for row in answer.load_answer()["voices"]["rows"]}
    assert rows["high, real"]["heard"][0] == rows["low, real"]["heard"][0] == 1
    asked = [rows[f"{voice}, asked for"] for voice in ("high", "low")]
    assert np.mean([row["heard"][0] for row in asked]) == 0.5
    assert all(row["frechet"][0] > 10 * rows["low, real"]["frechet"][0] for row in asked)


def test_a_sound_of_each_voice_that_was_asked_for_is_kept(workbook):
    folder = workbook / "data/pretrained/sounds"
    assert {path.name for path in folder.iterdir()} == {"high_asked_for.ogg", "low_asked_for.ogg"}
    for voice in ("high", "low"):
        sound = load_audio(kept.sound_file(told.asked_for(voice)), 16_000)
        assert len(sound.samples) == pytest.approx(65_280, abs=1)


def test_a_voice_is_asked_for_by_its_name_and_as_guided(workbook, monkeypatch):
    data, _ = open_splits(told.VOICES, condition="speaker")
    voices = {name: told.of_voice(data, number) for number, name in enumerate(data.kind.names)}

    def sample(self, count, *sampler, seed, guidance, condition):
        said = condition if guidance else "low"
        return np.stack(voices[said][:count])

    monkeypatch.setattr(DDPM, "sample", sample)
    rows = told.rows_of_guidance()
    assert [(row["guidance"], row["heard"][0]) for row in rows] == [(0, 0.5), (1, 1)]
    assert all(row["spread_db"][0] > 3 for row in rows)
    rows = {row["row"]: row for row in told.rows_of_voices()}
    assert all(rows[told.asked_for(voice)]["heard"][0] == 1 for voice in voices)


def test_both_trainings_on_texts_are_followed_pass_by_pass(workbook):
    *passes, end = answer.load_answer()["texts"]["rows"]
    assert [row["passes"] for row in passes] == [1, 2]
    for column, run in (("untold", "trial_prompts_untold"), ("told", "trial_prompts_text")):
        kept = [row["validation_loss"] for row in read_metrics(workbook / "data/runs" / run)]
        assert [row[column][0] for row in passes] == kept
    assert end["row"] == "at the end"


def test_each_loss_is_that_of_its_network_and_of_what_it_was_told(workbook, monkeypatch):
    """Without any training: one network sees the picture in the true text, the other one never."""
    _, held_out = open_splits(told.TEXTS, condition="text")
    right = held_out.conditions(range(len(held_out)))
    # Of a sentence that fills two pictures, the network knows the last one.
    known = {tuple(row.tolist()): i for i, row in enumerate(right)}

    silence = torch.zeros(1, *held_out.params.image_size)

    def by_heart(said):
        return torch.stack([held_out[known[row]] if any(row) else silence for row in said])

    def network(kind, picture):
        model = DDPM(TINY.told(kind).build(), held_out.params)

        def forward(x_t, time, said=None):
            # v = (alpha x_t - x_0) / sigma, Salimans & Ho 2022, where x_0 is told
            step = (time * model.noise_steps).round().long()
            alpha_bar = model.alpha_bar[step].view(-1, 1, 1, 1)
            x_0 = picture(map(tuple, said.tolist()) if kind else None)
            return (alpha_bar.sqrt() * x_t - x_0) / (1 - alpha_bar).sqrt()

        model.network.forward = forward
        return model

    nothing, untold = (network(None, lambda _, x_0=x_0: x_0) for x_0 in (0.0, -0.5))
    models = {"told": network(held_out.kind, by_heart), "untold": untold}
    monkeypatch.setattr(DDPM, "load", models.get)
    losses = told.losses_at_the_end(["untold", "told"], held_out)
    true = told.loss_of_each(models["told"], held_out, right)
    assert true[list(known.values())].max() < 1e-4
    assert losses["told"][0] == pytest.approx(true.mean())
    for name, model in (("untold", untold), ("nothing", nothing)):
        alone = told.loss_of_each(model, held_out, right).mean()
        assert losses[name][0] == pytest.approx(alone)
    assert min(losses[name][0] for name in ("another", "as_long")) > losses["told"][0] + 0.01
    assert losses["another"][0] != losses["as_long"][0]


def test_a_text_gets_another_one_of_its_length():
    texts = ["four", "seventeen", "five", "seventeen", "eighteen", "no"]
    kind = condition.Tokens.of(texts)
    others = told.as_long(condition.rows(kind, texts, len(texts)))
    words = [kind.words(row) for row in others.numpy()]
    assert words == ["five", "eighteen", "four", "eighteen", "seventeen", "four"]


def test_the_difference_is_known_better_than_the_losses(workbook):
    end = answer.load_answer()["texts"]["rows"][-1]
    assert end["less"][0] == pytest.approx(end["untold"][0] - end["told"][0])
    assert end["words"][0] == pytest.approx(end["as_long"][0] - end["told"][0])

    def width(name: str) -> float:
        return end[name][2] - end[name][1]

    assert width("less") < min(width("untold"), width("told"))
