"""Durations of new texts, learned from alignments: better than a mean, repeated to the bit."""

import numpy as np
import pytest
import torch
from spoken import aligned
from tiny import NETWORK, PARAMS

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.condition import PhoneCondition
from ddpmlib.text import durations
from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.durations import DurationPredictor, edges_in_words
from ddpmlib.text.pronunciation import PHONES, SILENCE
from ddpmlib.text.utterance import edges

NAMES = (SILENCE, *PHONES)


@pytest.fixture
def small(monkeypatch):
    """A smaller predictor, fitted in a second."""
    for name, value in {"SIZE": 32, "BATCH": 16, "STEPS": 100}.items():
        monkeypatch.setattr(durations, name, value)
    torch.set_num_threads(1)


def fitted(alignments, seed: int = 0) -> DurationPredictor:
    torch.manual_seed(0)
    return DurationPredictor(NAMES).fit(alignments, seed)


def seconds_of(alignment: Alignment) -> np.ndarray:
    return np.array([phone.seconds for phone in alignment.phones])


def predicted(predictor: DurationPredictor, alignment: Alignment) -> np.ndarray:
    names = [phone.name for phone in alignment.phones]
    return predictor.predict(names, edges_in_words(alignment))


def test_held_out_sentences_are_predicted_better_than_by_the_mean_of_each_phone(small):
    known, held_out = aligned(24)[:20], aligned(24)[20:]
    predictor = fitted(known)
    spoken = {name: [] for name in NAMES}
    for phone in (phone for alignment in known for phone in alignment.phones):
        spoken[phone.name].append(phone.seconds)
    everything = np.mean([seconds for each in spoken.values() for seconds in each])
    means = {name: np.mean(seconds or everything) for name, seconds in spoken.items()}
    errors = {"network": [], "means": []}
    for alignment in held_out:
        seconds = seconds_of(alignment)
        errors["network"].append(np.abs(predicted(predictor, alignment) - seconds))
        wanted = np.array([means[phone.name] for phone in alignment.phones])
        errors["means"].append(np.abs(wanted - seconds))
    network, mean = (np.concatenate(errors[name]).mean() for name in ("network", "means"))
    assert network < 0.9 * mean


def test_sentences_are_predicted_as_long_as_they_are(small):
    known = aligned(24)[:20]
    predictor = fitted(known)
    together = sum(predicted(predictor, alignment).sum() for alignment in known)
    assert together == pytest.approx(sum(seconds_of(a).sum() for a in known), rel=1e-3)


def test_it_is_the_same_each_time_and_leaves_random_numbers_alone(small, monkeypatch):
    monkeypatch.setattr(durations, "STEPS", 5)
    one, again, other = (fitted(aligned(4), seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(again[name], value) for name, value in one.items())
    assert not all(torch.equal(other[name], value) for name, value in one.items())
    torch.manual_seed(3)
    predictor = DurationPredictor(NAMES)
    before = torch.get_rng_state()
    predictor.fit(aligned(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_phone_takes_as_long_as_its_neighbours_and_edges_let_expect(small):
    predictor = fitted(aligned(4))
    middle = ["SIL", "HH", "AH", "L", "OW", "SIL"]
    none = np.zeros((6, 2))
    one = predictor.predict(middle, none)
    assert np.array_equal(predictor.predict(middle, none), one)
    first = predictor.predict(middle, np.eye(6)[:, 1:3])
    assert np.abs(first - one).max() > 1e-4
    other = predictor.predict([*middle[:-2], "ER", "SIL"], none)
    assert np.abs(other - one)[:4].max() > 1e-4


def test_phones_that_always_take_as_long_are_no_trouble(small, monkeypatch):
    monkeypatch.setattr(durations, "STEPS", 3)
    even = Alignment(tuple(Interval("AH", i / 10, (i + 1) / 10) for i in range(5)), ())
    one = Alignment((Interval("S", 0.0, 0.2),), ())
    assert predicted(fitted([even]), even) == pytest.approx([0.1] * 5, rel=1e-3)
    assert predicted(fitted([one]), one) == pytest.approx([0.2], rel=1e-3)


def test_it_is_no_part_of_another_training(small):
    predictor = DurationPredictor(NAMES)
    assert not any(parameter.requires_grad for parameter in predictor.parameters())
    assert not any(parameter.requires_grad for parameter in predictor.fit(aligned(2)).parameters())
    assert not predictor.training


def test_what_cannot_be_predicted_is_refused(small, monkeypatch):
    predictor = DurationPredictor(NAMES)
    with pytest.raises(ValueError, match="no durations are known; needed: a model trained on"):
        predictor.predict(["SIL", "AH"], np.zeros((2, 2)))
    monkeypatch.setattr(durations, "STEPS", 2)
    predictor.fit(aligned(2))
    with pytest.raises(ValueError, match="phone 'øː'; needed: one of SIL AA AE"):
        predictor.predict(["SIL", "øː"], np.zeros((2, 2)))


@pytest.mark.parametrize("half", [False, True])
def test_it_travels_inside_the_weights(half, small, tmp_path):
    spec = PhoneCondition(NAMES, PARAMS.n_mels, PARAMS.n_frames)
    model = DDPM(NETWORK.with_condition(spec).build(), PARAMS, noise_steps=20)
    model.network.condition.durations.fit(aligned(4))
    model.save(tmp_path / "model.safetensors", half)
    loaded = DDPM.load(tmp_path / "model.safetensors")
    found, wanted = (
        predicted(each.network.condition.durations, aligned(4)[0]) for each in (loaded, model)
    )
    np.testing.assert_allclose(found, wanted, rtol=0.02 if half else 0)


def test_training_and_new_texts_have_edges_of_words_alike():
    for alignment in aligned(4):
        words, own = [], {round(word.start, 3): i for i, word in enumerate(alignment.words)}
        for phone in alignment.phones:
            begins = phone.name == SILENCE or round(phone.start, 3) in own
            words = [*words, [phone.name]] if begins else [*words[:-1], [*words[-1], phone.name]]
        assert np.array_equal(edges(words), edges_in_words(alignment))
        firsts, lasts = edges_in_words(alignment).T
        assert firsts.sum() == lasts.sum() == len(alignment.words)
