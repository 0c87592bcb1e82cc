"""What a network can be told: kinds, their rows, their way into the network, and guidance."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import NETWORK, PARAMS

from ddpmlib.condition import Labels, Tokens, Vectors, plain, rows, silenced
from ddpmlib.ddpm import DDPM
from ddpmlib.diffusion import SAMPLERS
from ddpmlib.guidance import guided
from ddpmlib.original import OriginalConfig
from ddpmlib.unet import UNetConfig

WORDS = np.random.default_rng(0).normal(size=(3, 4))
KINDS = {
    "labels": (Labels(3, ("ann", "bob", "eve")), "ann", "eve"),
    "vector": (Vectors(4), WORDS[0], WORDS[1]),
    "sequence": (Vectors(4, 5), WORDS, WORDS[::-1]),
    "tokens": (Tokens(6, "abc"), "ab", "ba"),
}
every_kind = pytest.mark.parametrize("name", KINDS)


def network(kind, seed=0):
    """A network whose every part has an effect."""
    torch.manual_seed(seed)
    made = NETWORK.told(kind).build()
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return made.eval()


def model(kind, **options) -> DDPM:
    options = {"noise_steps": 20, "precision": "float32"} | options
    return DDPM(network(kind), PARAMS, **options)


def batch(count=3):
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(count, 1, *PARAMS.image_size, generator=generator)
    return x_t, torch.linspace(0.1, 0.9, count)


@every_kind
def test_a_network_goes_through_json_with_its_kind(name):
    config = NETWORK.told(KINDS[name][0])
    assert UNetConfig(**json.loads(json.dumps(config.to_dict()))) == config


@every_kind
def test_what_is_new_has_no_effect_at_first(name):
    kind, one, other = KINDS[name]
    without = network(None)
    told = NETWORK.told(kind).build().eval()
    new = told.load_state_dict(without.state_dict(), strict=False)
    assert new.missing_keys
    assert all(key.startswith("condition.") for key in new.missing_keys)
    assert not new.unexpected_keys
    with torch.inference_mode():
        wanted = without(*batch())
        assert torch.equal(told(*batch(), rows(kind, [one, other, None], 3)), wanted)


@every_kind
def test_all_else_begins_with_the_same_weights(name):
    torch.manual_seed(0)
    without = NETWORK.build().state_dict()
    torch.manual_seed(0)
    told = NETWORK.told(KINDS[name][0]).build().state_dict()
    assert all(torch.equal(told[key], value) for key, value in without.items())


@every_kind
def test_it_matters_what_is_said_and_to_whom(name):
    kind, one, other = KINDS[name]
    told = network(kind)
    with torch.inference_mode():
        x_t, time = batch()
        silent = told(x_t, time)
        assert torch.equal(told(x_t, time, rows(kind, None, 3)), silent)
        ones, others = (told(x_t, time, rows(kind, value, 3)) for value in (one, other))
        assert min((ones - others).abs().amax((1, 2, 3))) > 1e-3
        assert min((ones - silent).abs().amax((1, 2, 3))) > 1e-3
        mixed = told(x_t, time, rows(kind, [one, other, None], 3))
    for i, expected in enumerate((ones, others, silent)):
        torch.testing.assert_close(mixed[i], expected[i], atol=1e-5, rtol=1e-5)


def test_names_numbers_and_texts_become_rows():
    labels = Labels(3, ("ann", "bob", "eve"))
    assert rows(labels, ["bob", "eve", None], 3).tolist() == [1, 2, -1]
    speakers = Labels(2, ("1034", "103"))
    assert rows(speakers, ["103", 1034], 2).tolist() == [1, 0]
    assert Labels(2).names == ("0", "1")
    texts = Tokens.of(["Ab  CA", "b\n a"])
    assert texts == Tokens(5, " abc")
    assert rows(texts, ["AB", None], 2).tolist() == [[2, 3, 0, 0, 0], [0, 0, 0, 0, 0]]
    twice = "\u00df\u0301"  # what casefold makes of it can be composed
    kind = Tokens.of([twice])
    assert kind.words(kind.row(plain(twice))) == plain(twice)
    assert plain(" Stra\u00dfe\tA\u0308 ") == "strasse \u00e4"


def test_short_sequences_are_filled_up_and_missing_ones_say_nothing():
    made = rows(Vectors(4, 5), [WORDS, None], 2)
    assert made.shape == (2, 5, 4)
    assert made.isnan().all(dim=2).tolist() == [[False] * 3 + [True] * 2, [True] * 5]


@every_kind
def test_some_or_all_are_silenced(name):
    kind, one, _ = KINDS[name]
    said, nothing = rows(kind, one, 2), rows(kind, None, 2)
    half = silenced(kind, said, torch.tensor([False, True]))
    np.testing.assert_array_equal(half[0], said[0])
    np.testing.assert_array_equal(half[1], nothing[1])
    np.testing.assert_array_equal(silenced(kind, said, True), nothing)


WRONG = [
    (Labels(2, ("ann", "bob")), "eve", "condition is 'eve'; needed: ann, bob"),
    (Labels(2), 2, "condition is 2; needed: 0, 1"),
    (Labels(2), -1, "condition is -1; needed: 0, 1"),
    (Labels(30), "x", r"needed: 0, 1, .*, 19, \.\.\. \(30\)"),
    (Labels(2, ("a", "b")), 1, "condition is 1; needed: a, b"),
    (Labels(2), torch.tensor([0, 2]), "conditions from 0 to 2; needed: -1 to 1"),
    (Labels(2), torch.tensor([0.0, 1.0]), "conditions of type float32; needed: int64"),
    (Tokens(3, "abc"), torch.tensor([[1, 4, 0], [1, 0, 0]]), "from 0 to 4; needed: 0 to 3"),
    (Tokens(3, "abc"), 5, "condition is 5; needed: a text"),
    (Vectors(4), "hello", "condition is 'hello'; needed: 4 numbers"),
    (Vectors(2), np.array([1, np.inf]), "condition has 2 numbers; needed: at least 1, all finite"),
    (Vectors(4, 2), np.ones((0, 4)), "condition has 0 numbers; needed: at least 1"),
    (Labels(2), ["0", "1", "0"], "3 conditions; needed: one, or 2"),
    (Tokens(3, "abc"), "", "text of 0 characters; needed: 1 to 3"),
    (Tokens(3, "abc"), "abca", "text of 4 characters; needed: 1 to 3"),
    (Tokens(3, "abc"), "abd", "text has 'd'; needed: characters of 'abc'"),
    (Vectors(4), np.ones(3), r"condition of shape \(3,\); needed: \(4,\)"),
    (Vectors(4, 2), np.ones((3, 4)), r"of shape \(3, 4\); needed: \(2, 4\) \(at most 2\)"),
    (None, "ann", "condition is 'ann'; needed: None, this model knows none"),
]


@pytest.mark.parametrize(("kind", "value", "message"), WRONG)
def test_what_cannot_be_said_is_refused(kind, value, message):
    with pytest.raises(ValueError, match=message):
        model(kind).sample(2, steps=2, condition=value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labels(0), "needed: 1 different ones"),
        (lambda: Labels(2, ("a", "a")), "needed: 2 different ones"),
        (lambda: Vectors(0), "needed: at least 1"),
        (lambda: Tokens(3, "aa"), "out of different ones"),
        (lambda: UNetConfig(condition={"kind": "smell"}), "kind of condition is 'smell'; needed"),
        (lambda: UNetConfig(condition={"kind": "labels", "x": 1}), "are no labels: .* 'x'"),
        (lambda: UNetConfig(condition="speaker"), "condition is 'speaker'; needed: Labels, Vec"),
        (
            lambda: UNetConfig(width=8, multipliers=(1, 3), heads=3, condition=Tokens(2, "ab")),
            "width is 8; with a condition, four times that must be a multiple of 3",
        ),
        (lambda: OriginalConfig().told(Labels(2)), "needed: None for the original"),
    ],
)
def test_impossible_kinds_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@every_kind
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_guidance_leads_from_nothing_said_over_what_is_said(sampler, name):
    kind, one, _ = KINDS[name]
    told = model(kind)
    options = {"sampler": sampler, "steps": 3, "seed": 2}
    silent = told.sample(2, guidance=1, **options)
    said = {g: told.sample(2, guidance=g, condition=one, **options) for g in (0, 0.5, 1, 3)}
    assert np.array_equal(said[0], silent)
    distances = [np.abs(said[g] - silent).mean() for g in (0.5, 1, 3)]
    assert distances[0] > 1e-4
    assert sorted(distances) == distances


@pytest.mark.parametrize("condition", ["ann", ["ann", "eve"]])
def test_guidance_0_is_the_unconditional_model_of_long_pictures_too(condition):
    told = model(KINDS["labels"][0])
    options = {"sampler": "ddpm", "steps": 3, "seconds": 3 * PARAMS.seconds}
    silent = told.sample(2, guidance=1, **options)
    assert np.array_equal(told.sample(2, guidance=0, condition=condition, **options), silent)


def test_a_long_picture_is_one_of_its_batch_where_all_are_told_the_same():
    told, seen = model(KINDS["labels"][0]), []
    options = {"steps": 3, "seconds": 3 * PARAMS.seconds, "guidance": 2}
    told.sample(2, condition="ann", callback=lambda i, x_t, x_0: seen.append(len(x_0)), **options)
    assert seen == [2, 2, 2]


def test_rows_of_a_data_set_can_be_said_as_they_are():
    told = model(KINDS["labels"][0])
    given = told.sample(2, steps=3, condition=torch.tensor([2, 0]))
    assert np.array_equal(given, told.sample(2, steps=3, condition=["eve", "ann"]))
    with pytest.raises(ValueError, match=r"conditions of shape \(3,\); needed: \(2,\)"):
        told.sample(2, steps=3, condition=torch.tensor([2, 0, 1]))


def test_the_length_of_a_vector_counts():
    told = network(Vectors(1))
    with torch.inference_mode():
        one, five = (told(*batch(), torch.full((3, 1), value)) for value in (1.0, 5.0))
    assert (one - five).abs().max() > 1e-3


def test_guidance_is_a_line_through_both_predictions_and_asks_once():
    kind, one, other = KINDS["tokens"]
    told, sizes = model(kind), []
    told.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    x_t, time = batch()
    said = rows(kind, [one, other, None], 3)
    with torch.inference_mode():
        nothing, something = told.predict(x_t, time), told.predict(x_t, time, said)
        sizes.clear()
        found = guided(told, 2.5, said)(x_t, time)
    assert sizes == [6]
    wanted = nothing + 2.5 * (something - nothing)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_model_that_can_be_told_something_needs_no_guide():
    """Nothing said is nothing said: 0 of one label, none for all and none for each are the same."""
    kind, one, _ = KINDS["labels"]
    told = model(kind)
    both = replace(told, guide=DDPM(network(kind, 5), PARAMS, noise_steps=20, precision="float32"))
    guided_by_words = both.sample(1, steps=3, condition=one, guidance=3)
    assert np.array_equal(guided_by_words, told.sample(1, steps=3, condition=one, guidance=3))
    silent = both.sample(2, steps=3, guidance=0, condition=one)
    for said in (None, [None, None]):
        np.testing.assert_allclose(both.sample(2, steps=3, condition=said), silent, atol=1e-5)


@pytest.mark.parametrize("seconds", [None, 3 * PARAMS.seconds])
def test_each_picture_is_told_its_own(seconds):
    kind, one, other = KINDS["tokens"]
    told = model(kind)
    options = {"steps": 3, "seconds": seconds, "guidance": 2}
    mixed = told.sample(3, condition=[one, other, None], batch_size=2, **options)
    for i, value in enumerate((one, other, None)):
        alone = told.sample(3, condition=[value] * 3, **options)
        np.testing.assert_allclose(mixed[i], alone[i], atol=1e-4)


def test_a_saved_model_knows_what_it_can_be_told(tmp_path):
    kind, one, _ = KINDS["labels"]
    told = model(kind)
    told.save(tmp_path / "model.safetensors")
    loaded = DDPM.load(tmp_path / "model.safetensors")
    assert loaded.kind == kind
    loaded.precision = "float32"
    options = {"steps": 3, "condition": one}
    assert np.array_equal(loaded.sample(2, **options), told.sample(2, **options))


def test_rows_are_told_back_in_words():
    labels, texts = KINDS["labels"][0], KINDS["tokens"][0]
    for kind, said in ((labels, "bob"), (texts, "abca")):
        made = rows(kind, [said, None], 2).numpy()
        assert [kind.words(row) for row in made] == [said, ""]


def test_a_vector_of_zeros_is_not_nothing():
    told = network(Vectors(4))
    with torch.inference_mode():
        zeros, nothing = (told(*batch(), rows(Vectors(4), v, 3)) for v in (np.zeros(4), None))
    assert (zeros - nothing).abs().max() > 1e-3


def test_what_comes_after_the_end_of_a_text_is_not_read():
    kind, one, _ = KINDS["tokens"]
    told = network(kind)
    with torch.inference_mode():
        before = told(*batch(), rows(kind, one, 3))
        told.condition.read.weight[kind.nothing] += 5
        assert torch.equal(told(*batch(), rows(kind, one, 3)), before)


def test_each_place_of_a_picture_looks_at_the_text_in_its_own_way():
    kind, _, _ = KINDS["tokens"]
    reader = network(kind).condition
    with torch.inference_mode():
        _, context = reader(rows(kind, "abc", 1))
        x = torch.zeros(1, reader.to_q.in_features, 2, 8)
        seen = reader.attend(x, context) - x
    assert seen.std(dim=3).max() > 1e-4
