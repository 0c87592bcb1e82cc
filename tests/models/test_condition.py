"""What a network can be conditioned on: rows of each kind, and what is refused."""

import numpy as np
import pytest
import torch
from conditional import SPECS, WORDS

from ddpmlib.models.baseline import BaselineConfig
from ddpmlib.models.condition import (
    ClassCondition,
    EmbeddingCondition,
    TextCondition,
    normalise_text,
)
from ddpmlib.models.condition_rows import drop_conditions, encode_conditions
from ddpmlib.models.unet import UNetConfig

LABELS, TEXTS = SPECS["labels"][0], SPECS["tokens"][0]


def test_names_numbers_and_texts_become_rows():
    assert encode_conditions(LABELS, ["bob", "eve", None], 3).tolist() == [1, 2, -1]
    speakers = ClassCondition(2, ("1034", "103"))
    assert encode_conditions(speakers, ["103", 1034], 2).tolist() == [1, 0]
    assert ClassCondition(2).names == ("0", "1")
    texts = TextCondition.of(["Ab  CA", "b\n a"])
    assert texts == TextCondition(5, " abc")
    assert encode_conditions(texts, ["AB", None], 2).tolist() == [[2, 3, 0, 0, 0], [0, 0, 0, 0, 0]]
    twice = "\u00df\u0301"  # what casefold makes of it can be composed
    spec = TextCondition.of([twice])
    assert spec.decode(spec.encode(normalise_text(twice))) == normalise_text(twice)
    assert normalise_text(" Stra\u00dfe\tA\u0308 ") == "strasse \u00e4"


def test_short_sequences_are_padded_and_missing_ones_are_the_null_condition():
    rows = encode_conditions(EmbeddingCondition(4, 5), [WORDS, None], 2)
    assert rows.shape == (2, 5, 4)
    assert rows.isnan().all(dim=2).tolist() == [[False] * 3 + [True] * 2, [True] * 5]


@pytest.mark.parametrize(("spec", "value", "_"), SPECS.values(), ids=SPECS)
def test_some_or_all_conditions_are_dropped(spec, value, _):
    rows, null = encode_conditions(spec, value, 2), encode_conditions(spec, None, 2)
    half = drop_conditions(spec, rows, torch.tensor([False, True]))
    np.testing.assert_array_equal(half[0], rows[0])
    np.testing.assert_array_equal(half[1], null[1])
    np.testing.assert_array_equal(drop_conditions(spec, rows, True), null)


def test_rows_are_decoded():
    for spec, value in ((LABELS, "bob"), (TEXTS, "abca")):
        rows = encode_conditions(spec, [value, None], 2).numpy()
        assert [spec.decode(row) for row in rows] == [value, ""]


ARRAY = EmbeddingCondition(4, 2)
WRONG = [
    (ClassCondition(2, ("ann", "bob")), "eve", "condition is 'eve'; needed: ann, bob"),
    (ClassCondition(2), 2, "condition is 2; needed: 0, 1"),
    (ClassCondition(2), -1, "condition is -1; needed: 0, 1"),
    (ClassCondition(30), "x", r"needed: 0, 1, .*, 19, \.\.\. \(30\)"),
    (ClassCondition(2, ("a", "b")), 1, "condition is 1; needed: a, b"),
    (ClassCondition(2), torch.tensor([0, 2]), "conditions from 0 to 2; needed: -1 to 1"),
    (ClassCondition(2), torch.tensor([0.0, 1.0]), "conditions of type float32; needed: int64"),
    (TextCondition(3, "abc"), torch.tensor([[1, 4, 0], [1, 0, 0]]), "from 0 to 4; needed: 0 to 3"),
    (TextCondition(3, "abc"), 5, "condition is 5; needed: a text"),
    (EmbeddingCondition(4), "hello", "condition is 'hello'; needed: 4 numbers"),
    (EmbeddingCondition(2), np.array([1, np.inf]), "has 2 numbers; needed: at least 1, all finite"),
    (ARRAY, np.ones((0, 4)), "condition has 0 numbers; needed: at least 1"),
    (ClassCondition(2), ["0", "1", "0"], "3 conditions; needed: one for all, or 2"),
    (ClassCondition(2), torch.tensor([1, 0, 1]), r"of shape \(3,\); needed: \(2,\)"),
    (TextCondition(3, "abc"), "", "text of 0 characters; needed: 1 to 3"),
    (TextCondition(3, "abc"), "abca", "text of 4 characters; needed: 1 to 3"),
    (TextCondition(3, "abc"), "abd", "text has 'd'; needed: characters of 'abc'"),
    (EmbeddingCondition(4), np.ones(3), r"condition of shape \(3,\); needed: \(4,\)"),
    (ARRAY, np.ones((3, 4)), r"of shape \(3, 4\); needed: \(2, 4\) \(at most 2\)"),
]


@pytest.mark.parametrize(("spec", "value", "message"), WRONG)
def test_what_cannot_be_encoded_is_refused(spec, value, message):
    with pytest.raises(ValueError, match=message):
        encode_conditions(spec, value, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassCondition(0), "needed: 1 different ones"),
        (lambda: ClassCondition(2, ("a", "a")), "needed: 2 different ones"),
        (lambda: EmbeddingCondition(0), "needed: at least 1"),
        (lambda: TextCondition(3, "aa"), "out of different ones"),
        (lambda: UNetConfig(condition={"kind": "smell"}), "kind of condition is 'smell'; needed"),
        (lambda: UNetConfig(condition={"kind": "labels", "x": 1}), "not describe labels: .* 'x'"),
        (lambda: UNetConfig(condition="speaker"), "is 'speaker'; needed: a condition of"),
        (
            lambda: UNetConfig(width=8, multipliers=(1, 3), heads=3, condition=TEXTS),
            "width is 8; with a condition, four times that must be a multiple of 3",
        ),
        (lambda: BaselineConfig().with_condition(LABELS), "needed: None for the baseline"),
    ],
)
def test_impossible_specs_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
