"""Texts that a model says: as long as they take, sentence by sentence, the same for each seed."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from conditional import SPECS, SPEECH, network, speaking
from tiny import NETWORK, PARAMS

from ddpmlib.audio.cleaning import gain
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.speech import (
    condition_of,
    mean_mel,
    plan,
    save_speech,
    say_file,
)
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.text.frames import frames_of
from ddpmlib.text.pronunciation import PHONES, SILENCE, Lexicon

TEXT, FASTER = "The little boat crossed the lake.", {"num_steps": 2}
HOP = SPEECH.hop_length / SPEECH.sample_rate  # seconds


@pytest.fixture(scope="module")
def model() -> DDPM:
    return speaking()


def end(alignment) -> float:
    return alignment.phones[-1].end


@pytest.mark.parametrize("text", ["I.", TEXT, f"{TEXT[:-1]} and {TEXT[4:]}"])
def test_the_length_is_what_the_text_takes(text, model):
    [said] = model.say(text, **FASTER)
    [alignment] = said.alignments
    assert said.text == text
    frames = frames_of(end(alignment), SPEECH, NETWORK.factor)
    assert said.mel.shape == (1, SPEECH.n_mels, frames)
    assert end(alignment) <= frames * HOP < end(alignment) + (NETWORK.factor + 1) * HOP
    assert len(said.audio) == pytest.approx(frames * SPEECH.hop_length, abs=SPEECH.hop_length)
    assert np.abs(said.mel).max() <= 1
    assert np.isfinite(said.audio).all()


def test_the_condition_has_the_phones_of_the_text_in_their_time(model):
    [alignment] = plan(model, TEXT)
    spoken = [phone.name for phone in alignment.phones]
    assert " ".join(spoken[1:-1]) == "DH AH L IH T AH L B OW T K R AO S T DH AH L EY K"
    condition = condition_of(alignment, model)[0].numpy()
    assert len(condition) % NETWORK.factor == 0
    for phone in alignment.phones:
        middle = round((phone.start + phone.end) / 2 / HOP)
        if phone.start / HOP <= middle < phone.end / HOP:
            assert model.condition_spec.names[int(condition[middle, 0]) - 1] == phone.name
    assert model.condition_spec.decode(condition).split() == spoken


def test_a_seed_says_it_again_and_another_one_otherwise(model):
    one, again, other = (model.say(TEXT, seed=seed, **FASTER)[0] for seed in (3, 3, 4))
    assert np.array_equal(one.mel, again.mel)
    assert np.array_equal(one.audio, again.audio)
    assert one.alignments == other.alignments
    assert np.abs(one.mel - other.mel).max() > 0.1


def test_sentences_follow_each_other_and_depend_on_their_number_alone(model):
    [said] = model.say(f"Good day, sir! {TEXT}", seed=3, **FASTER)
    parts = [
        model.say(text, seed=3 + i, **FASTER)[0] for i, text in enumerate(["Good day, sir!", TEXT])
    ]
    assert [a for part in parts for a in part.alignments] == list(said.alignments)
    assert np.array_equal(np.concatenate([part.mel for part in parts], axis=-1), said.mel)
    # Between them there is silence, and no step of the sound.
    assert all(a.phones[0].name == a.phones[-1].name == SILENCE for a in said.alignments)
    rate, seam = SPEECH.sample_rate, parts[0].mel.shape[-1] * SPEECH.hop_length
    steps = np.abs(np.diff(said.audio[seam - rate // 100 : seam + rate // 100]))
    assert steps.max() <= 2 * np.abs(np.diff(said.audio)).max()


def test_several_texts_are_each_said_as_alone(model):
    both = model.say(["Good day.", TEXT], seed=5, **FASTER)
    for said, text in zip(both, ["Good day.", TEXT], strict=True):
        assert np.array_equal(said.mel, model.say(text, seed=5, **FASTER)[0].mel)
    assert model.say([]) == []


def test_speed_makes_it_shorter(model):
    usual, fast = (model.say(TEXT, speed=speed, **FASTER)[0] for speed in (1.0, 2.0))
    assert end(fast.alignments[0]) == pytest.approx(end(usual.alignments[0]) / 2)
    assert fast.mel.shape[-1] == pytest.approx(usual.mel.shape[-1] / 2, abs=NETWORK.factor)


def test_own_pronunciations_are_spoken(model, tmp_path):
    (tmp_path / "own.txt").write_text("boat\tZ UW\n")
    [alignment] = plan(model, "A boat.", lexicon=Lexicon(tmp_path / "own.txt"))
    assert " ".join(phone.name for phone in alignment.phones) == "SIL AH Z UW SIL"


def test_the_options_reach_the_sampler(model, monkeypatch):
    given, sample = [], DDPM.sample

    def spy(self, count, **options):
        given.append(options)
        return sample(self, count, **options)

    monkeypatch.setattr(DDPM, "sample", spy)
    seen = []
    callback = lambda i, x_t, x_0: seen.append(i)  # noqa: E731
    options = {"guidance_scale": 0.5, "num_steps": 3, "sampler": "ddim", "callback": callback}
    model.say("Good day. Good night.", seed=2**32 - 1, **options)
    assert [each["seed"] for each in given] == [2**32 - 1, 0], "torch ignores what is above 32 bits"
    assert all(each.items() >= options.items() for each in given)
    assert len(seen) == 2 * 3


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "text is ''; needed: at least one word or number"),
        ("  \n", {}, "needed: at least one word or number"),
        ("?! ... —", {}, "needed: at least one word or number"),
        ("The хлеб is good.", {}, "cannot pronounce 'хлеб'; needed: an own pronunciation"),
        ("The pfft is good.", {}, "cannot pronounce 'pfft'; needed: .* or spelling"),
        (TEXT, {"speed": 0.1}, r"speed is 0\.1; needed: 0\.4 to 2\.5"),
        (TEXT, {"sampler": "slow"}, "sampler is 'slow'; needed: "),
        (TEXT, {"num_steps": 0}, "num_steps is 0"),
        (TEXT, {"seed": 2**32}, "seed is 4294967296; needed: 0 to 4294967295"),
    ],
)
def test_what_cannot_be_said_is_named(text, options, message, model):
    with pytest.raises(ValueError, match=message):
        model.say(text, **options)


def test_a_word_that_nothing_pronounces_is_spelled_on_request(model):
    [alignment] = plan(model, "The pfft.", lexicon=Lexicon(spell=True))
    assert " ".join(phone.name for phone in alignment.phones[3:-1]) == "P IY EH F EH F T IY"


def test_nothing_is_sampled_before_all_texts_are_understood(model, monkeypatch):
    monkeypatch.setattr(DDPM, "sample", lambda *_, **__: pytest.fail("sampled"))
    with pytest.raises(ValueError, match="text is"):
        model.say([TEXT, "!"])


def other_models() -> dict[str, tuple[DDPM, str]]:
    german = network(PhoneCondition((SILENCE, "ʃ", "øː"), *SPEECH.image_size))
    missing = network(PhoneCondition((SILENCE, *PHONES[1:]), *SPEECH.image_size))
    mute = speaking()
    mute.network.condition.durations.correction.zero_()
    return {
        "unconditional": (
            DDPM(network(None), PARAMS, noise_steps=20),
            "condition of the model is none; needed: phones, to say a text",
        ),
        "of speakers": (
            DDPM(network(SPECS["labels"][0]), PARAMS, noise_steps=20),
            "condition of the model is labels; needed: phones",
        ),
        "German": (
            DDPM(german, SPEECH, noise_steps=20),
            "phones of the model are SIL ʃ øː; needed: those of English, AA",
        ),
        "one missing": (
            DDPM(missing, SPEECH, noise_steps=20),
            f"needed: those of English, {PHONES[0]}",
        ),
        "without durations": (mute, "no durations are known; needed: a model trained on"),
    }


@pytest.mark.parametrize("name", other_models())
def test_a_model_that_says_nothing_says_why(name):
    model, message = other_models()[name]
    with pytest.raises(ValueError, match=message):
        model.say(TEXT)
    if name != "without durations":
        with pytest.raises(ValueError, match=message):
            mean_mel(model, torch.zeros(1, 32, 3))


def test_the_mean_mel_follows_from_the_phones_alone(model):
    condition = condition_of(plan(model, TEXT)[0], model)
    mean = mean_mel(model, condition)
    assert mean.shape == (1, 1, SPEECH.n_mels, condition.shape[1])
    assert np.abs(mean).max() <= 1
    assert np.array_equal(mean_mel(model, condition), mean)


@pytest.mark.parametrize("scale", [0, 1, 3])
def test_a_guiding_model_guides_what_is_said(scale, model):
    """By its unconditional prediction, also in windows; with 1 it has no effect, and with 0 the
    model is its own without a condition."""
    both = replace(model, guiding_model=speaking(seed=5))
    options = {"guidance_scale": scale, **FASTER}
    guided, alone = (each.say(TEXT, **options)[0].mel for each in (both, model))
    assert np.array_equal(guided, alone) == (scale != 3)
    assert guided.shape[-1] > 2 * SPEECH.n_frames


def test_a_wav_is_written_into_a_new_folder(model, tmp_path):
    [said] = model.say("Hi.", **FASTER)
    path = save_speech(tmp_path / "new" / "hi.wav", said, model)
    sound, rate = soundfile.read(path)
    assert rate == SPEECH.sample_rate
    assert len(sound) == len(said.audio)


def test_each_line_of_a_file_is_said(model, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("\ufeffGood day, Zoë.\n\n  Good night.  \n", "utf-8")
    paths = say_file(model, lines, tmp_path / "said", seed=4, **FASTER)
    assert [path.name for path in paths] == ["001.wav", "003.wav"]
    assert sorted(path.name for path in (tmp_path / "said").iterdir()) == [
        *("001.wav", "003.wav", "texts.csv"),
    ]
    with (tmp_path / "said" / "texts.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["file", "text"], ["001.wav", "Good day, Zoë."], ["003.wav", "Good night."]]
    sound, _ = soundfile.read(paths[1])
    [said] = model.say("Good night.", seed=4, **FASTER)
    np.testing.assert_allclose(sound, min(1, gain([said.audio])) * said.audio, atol=1e-3)


def test_what_an_earlier_list_names_and_a_new_one_does_not_is_removed(model, tmp_path):
    lines, folder = tmp_path / "lines.txt", tmp_path / "said"
    lines.write_text("Good day.\nGood night.\nGood bye.")
    say_file(model, lines, folder, **FASTER)
    (folder / "own.wav").touch()
    lines.write_text("Good day.")
    say_file(model, lines, folder, **FASTER)
    assert {path.name for path in folder.iterdir()} == {"001.wav", "own.wav", "texts.csv"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Good day.\n\n...\nGood night.", r"lines\.txt, line 3: text is '\.\.\.'; needed"),
        ("Good day.\nThe хлеб.", r"lines\.txt, line 2: cannot pronounce 'хлеб'"),
        (" \n\n", r"lines\.txt has 2 lines and no text; needed: at least 1"),
    ],
)
def test_nothing_is_written_when_a_line_is_wrong(content, message, model, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=message):
        say_file(model, lines, tmp_path / "said", **FASTER)
    assert not (tmp_path / "said").exists()


def test_a_file_that_is_not_there_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        say_file(model, tmp_path / "none.txt", tmp_path / "said")
