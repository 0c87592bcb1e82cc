"""A word of a recording replaced by others: all else stays, and what follows it moves."""

import numpy as np
import pytest
from conditional import SPEECH, speaking

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.editing import AROUND
from ddpmlib.diffusion.speech import condition_of, replace_word
from ddpmlib.text.alignment import Alignment

FASTER = {"num_steps": 2}
HOP = SPEECH.hop_length / SPEECH.sample_rate  # seconds


@pytest.fixture(scope="module")
def model() -> DDPM:
    return speaking()


@pytest.fixture(scope="module")
def recorded(model):
    """A "recording" and its alignment: what the model says."""
    [said] = model.say("The little boat crossed the lake.", **FASTER)
    return said.mel[0], said.alignments[0]


REPLACED = [(0, "a"), (2, "ship"), (2, "enormous steamboat"), (5, "extraordinary sea")]


@pytest.mark.parametrize(("index", "text"), REPLACED)
def test_all_but_the_replaced_word_stays(index, text, model, recorded):
    mel, alignment = recorded
    word, (edit, condition) = alignment.words[index], replace_word(model, *recorded, index, text)
    assert edit.mel.shape == (SPEECH.n_mels, condition.shape[1])
    kept = edit.keep[0]
    begin, first, resumed, stop = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    behind = round((word.end + AROUND) / HOP)  # where the recording goes on
    assert begin == 0
    assert first == round((word.start - AROUND) / HOP)
    assert stop - resumed in (mel.shape[1] - behind, condition.shape[1] - resumed)
    assert stop - resumed >= mel.shape[1] - behind - 1
    old = slice(behind, behind + stop - resumed)
    assert np.array_equal(edit.mel[:, :first], mel[:, :first])
    assert np.array_equal(edit.mel[:, resumed:stop], mel[:, old])
    # The condition has been moved like the mel.
    rows, before = condition[0].numpy(), condition_of(alignment, model)[0].numpy()
    np.testing.assert_allclose(rows[:first], before[:first], atol=1e-5)
    assert (rows[resumed:stop, 0] == before[old, 0]).mean() > 0.8
    made = [
        model.sample(1, "ddpm", 5, seed, condition=condition, edit=edit)[0, 0] for seed in (0, 1)
    ]
    for each in made:
        np.testing.assert_allclose(each[:, kept], edit.mel[:, kept], atol=2e-3)
    assert np.abs(made[0] - made[1])[:, ~kept].mean() > 0.05


def test_the_new_word_is_as_long_as_it_takes_at_the_pace_of_the_others(model, recorded):
    mel, alignment = recorded
    slow = Alignment(
        [(p.name, 2 * p.start, 2 * p.end) for p in alignment.phones],
        [(w.name, 2 * w.start, 2 * w.end) for w in alignment.words],
    )
    names = model.condition_spec.names
    lengths = []
    for mine in (alignment, slow):
        twice = np.repeat(mel, round(mine.words[0].end / alignment.words[0].end), axis=1)
        _, condition = replace_word(model, twice, mine, 2, "ship")
        index, _, seconds = condition[0].numpy().T
        starts = np.flatnonzero(np.diff(index, prepend=0))
        phones = [(names[int(index[i]) - 1], float(np.exp(seconds[i]))) for i in starts if index[i]]
        word = [name for name, _ in phones].index("SH")
        assert [name for name, _ in phones[word : word + 3]] == ["SH", "IH", "P"]
        lengths.append(sum(length for _, length in phones[word : word + 3]))
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-3)


@pytest.mark.parametrize(
    ("index", "text", "message"),
    [
        (-1, "ship", "index is -1; needed: 0 to 5, of a word"),
        (6, "ship", "index is 6; needed: 0 to 5, of a word"),
        (1, "!", "text is '!'; needed: at least one word"),
        (1, "хлеб", "cannot pronounce 'хлеб'"),
    ],
)
def test_a_word_that_cannot_be_replaced_is_named(index, text, message, model, recorded):
    with pytest.raises(ValueError, match=message):
        replace_word(model, *recorded, index, text)


def test_the_only_word_is_replaced_too(model):
    [said] = model.say("Yes.", **FASTER)
    edit, condition = replace_word(model, said.mel[0], said.alignments[0], 0, "no")
    assert model.condition_spec.decode(condition[0].numpy()) == "SIL N OW SIL"
    assert not edit.keep.all()
