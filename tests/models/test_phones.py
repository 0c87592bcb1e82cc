"""Phones as condition: rows of any width, frames that are unknown, the mean mel-spectrogram."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from conditional import SPECS, network, phones
from tiny import NETWORK, PARAMS

from ddpmlib.models.condition import PhoneCondition, condition_spec
from ddpmlib.models.condition_rows import (
    drop_conditions,
    encode_conditions,
    null_conditions,
)
from ddpmlib.models.encoders import MEAN_WEIGHT, known_frames, mean_mel_loss

SPEC, ONE, OTHER = SPECS["phones"]
TIME = torch.tensor([0.3, 0.7])


def noise(n_frames: int = PARAMS.n_frames) -> torch.Tensor:
    return torch.randn(2, 1, PARAMS.n_mels, n_frames, generator=torch.Generator().manual_seed(0))


def partly(rows: np.ndarray, known: int) -> np.ndarray:
    """The first frames known alone."""
    return np.where(np.arange(len(rows))[:, None] < known, rows, np.nan).astype(np.float32)


def test_a_row_is_kept_as_it_is_and_decoded_to_names():
    assert np.array_equal(SPEC.encode(ONE.astype(float)), ONE)
    assert SPEC.encode(ONE.astype(float)).dtype == np.float32
    assert SPEC.decode(ONE) == "SIL a"
    assert SPEC.decode(phones(1, 2, 3, 3, 1, n_frames=20)) == "SIL a b SIL"
    assert SPEC.decode(partly(phones(0, 2, 0, 3), 10)) == "a"
    assert SPEC.decode(np.full((5, 3), np.nan)) == ""


def test_a_spec_goes_through_json():
    assert condition_spec(json.loads(json.dumps(asdict(SPEC)))) == SPEC
    assert SPEC.shape == (PARAMS.n_frames, 3)


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_names_are_different_ones(names):
    with pytest.raises(ValueError, match="needed: at least 1, all different"):
        PhoneCondition(names, 8, 16)


@pytest.mark.parametrize("n_frames", [4, PARAMS.n_frames, 40])
def test_rows_may_be_of_any_width(n_frames):
    value = phones(1, 3, n_frames=n_frames)
    rows = encode_conditions(SPEC, [value, None, value], 3)
    assert rows.shape == (3, n_frames, 3)
    assert rows.dtype == torch.float32
    assert rows.isnan().all(dim=(1, 2)).tolist() == [False, True, False]
    assert encode_conditions(SPEC, rows, 3) is rows
    assert encode_conditions(SPEC, value, 2).shape == (2, n_frames, 3)
    null = null_conditions(SPEC, 2, n_frames)
    assert null.shape == (2, n_frames, 3)
    assert null.isnan().all()
    assert torch.equal(drop_conditions(SPEC, rows, True)[:2].isnan(), null.isnan())
    assert null_conditions(SPECS["labels"][0], 2, n_frames).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("hello", r"condition is 'hello'; needed: \(n_frames, 3\), see DDPM.say"),
        (ONE[0], r"condition is an array of shape \(3,\); needed: \(n_frames, 3\)"),
        (ONE[:, :2], r"array of shape \(16, 2\); needed: \(n_frames, 3\)"),
        ([ONE, ONE[:8]], r"conditions of shapes \(8, 3\) and \(16, 3\); needed: one width"),
        (ONE + 3, r"phones from 4 to 5; needed: 0 to 3"),
        (-ONE, r"phones from -2 to -1; needed: 0 to 3"),
        (torch.from_numpy(ONE), r"conditions of shape \(16, 3\); needed: \(2, 16, 3\)"),
        (torch.from_numpy(ONE)[None], r"of shape \(1, 16, 3\); needed: \(2, 16, 3\)"),
        (torch.zeros(2, 16, 3).double(), "conditions of type float64; needed: float32"),
        (torch.full((2, 9, 3), 4.0), "phones from 4 to 4; needed: 0 to 3"),
        (torch.full((2, 9, 3), torch.inf), "phones from .* needed: 0 to 3"),
    ],
)
def test_what_is_no_row_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        encode_conditions(SPEC, value, 2)


@pytest.mark.parametrize("n_frames", [PARAMS.n_frames, 4 * PARAMS.n_frames])
@pytest.mark.parametrize("known", [0, 10, 64])
def test_an_unconditional_network_goes_on_unchanged_to_the_bit(n_frames, known):
    without = network(None)
    conditional = NETWORK.with_condition(SPEC).build().eval()
    conditional.load_state_dict(without.state_dict(), strict=False)
    rows = partly(phones(1, 2, 3, n_frames=n_frames), known)
    condition, x_t = encode_conditions(SPEC, rows, 2), noise(n_frames)
    with torch.inference_mode():
        assert torch.equal(conditional(x_t, TIME, condition), without(x_t, TIME))


def test_no_condition_is_the_null_condition_at_any_width():
    conditional = network(SPEC)
    for n_frames in (8, 16, 40):
        null = null_conditions(SPEC, 2, n_frames)
        with torch.inference_mode():
            outputs = [conditional(noise(n_frames), TIME, rows) for rows in (None, null)]
        assert torch.equal(*outputs)


def test_unknown_frames_are_neither_silence_nor_the_null_condition():
    conditional, x_t = network(SPEC), noise()
    values = [ONE, partly(ONE, 10), np.where(partly(ONE, 10) > -9, ONE, 0), partly(ONE, 0)]
    with torch.inference_mode():
        outputs = [conditional(x_t, TIME, encode_conditions(SPEC, v, 2)) for v in values]
    assert all(output.isfinite().all() for output in outputs)
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 1e-3


def test_unknown_frames_do_not_depend_on_the_phones_of_silence():
    conditional = network(SPEC)
    null = null_conditions(SPEC, 2, PARAMS.n_frames)
    with torch.inference_mode():
        before = conditional(noise(), TIME, null)
        conditional.condition.table.weight += 1
        assert torch.equal(conditional(noise(), TIME, null), before)


def test_with_the_null_condition_it_is_the_unconditional_network():
    conditional, plain = network(SPEC), NETWORK.build().eval()
    plain.load_state_dict(conditional.state_dict(), strict=False)
    rows = encode_conditions(SPEC, [ONE, None], 2)
    with torch.inference_mode():
        with_phones, without = conditional(noise(), TIME, rows)
        assert torch.equal(without, plain(noise(), TIME)[1])
    assert (with_phones - without).abs().max() > 1e-3


def test_each_part_of_a_row_counts():
    conditional = network(SPEC)
    outputs = []
    for column in (None, 0, 1, 2):
        row = ONE.copy()
        if column is not None:
            row[:, column] += 1 if column == 0 else 0.3
        with torch.inference_mode():
            outputs.append(conditional(noise(), TIME, encode_conditions(SPEC, row, 2)))
    assert all((output - outputs[0]).abs().max() > 1e-4 for output in outputs[1:])


def test_after_the_end_there_is_nothing_but_the_end():
    """Its position and duration are no numbers of a phone."""
    conditional, ended = network(SPEC), np.zeros_like(ONE)
    other = ended + np.array([0, 0, -5], np.float32)
    with torch.inference_mode():
        outputs = [
            conditional(noise(), TIME, encode_conditions(SPEC, v, 2)) for v in (ended, other)
        ]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("n_frames", [8, 16, 40])
def test_the_mean_mel_is_as_wide_as_the_condition(n_frames):
    conditional, rows = network(SPEC), phones(1, 2, n_frames=n_frames)
    condition = encode_conditions(SPEC, rows, 2)
    with torch.inference_mode():
        output, mean = conditional(noise(n_frames), TIME, condition, with_mean=True)
        assert output.shape == mean.shape == (2, 1, PARAMS.n_mels, n_frames)
        assert torch.equal(conditional(noise(n_frames), TIME, condition), output)
        # It follows from the condition alone.
        _, again = conditional(noise(n_frames) + 1, 1 - TIME, condition, with_mean=True)
    assert torch.equal(again, mean)


def test_the_loss_of_the_mean_is_over_known_frames():
    x_0 = torch.zeros(2, 1, PARAMS.n_mels, PARAMS.n_frames)
    mean = torch.full_like(x_0, 0.5)
    mean[0, ..., 10:], mean[1, ..., :] = 7.0, 9.0
    mean.requires_grad_(True)
    condition = encode_conditions(SPEC, [partly(ONE, 10), None], 2)
    assert known_frames(condition) == 10
    loss = mean_mel_loss(mean, x_0, condition, known_frames(condition))
    assert loss.item() == pytest.approx(MEAN_WEIGHT * 0.25)
    loss.backward()
    assert (mean.grad != 0).any(dim=2).flatten().tolist() == [True] * 10 + [False] * 22


def test_the_loss_of_the_mean_is_0_where_nothing_is_known():
    x_0 = torch.zeros(2, 1, PARAMS.n_mels, PARAMS.n_frames)
    condition = encode_conditions(SPEC, None, 2)
    loss = mean_mel_loss(x_0 + 1, x_0, condition, known_frames(condition))
    assert loss == 0


def test_losses_of_two_halves_have_the_mean_of_the_whole():
    """As two processes divide a batch, whose halves differ in what is known."""
    x_0 = torch.zeros(2, 1, PARAMS.n_mels, PARAMS.n_frames)
    mean = torch.rand(x_0.shape, generator=torch.Generator().manual_seed(0))
    condition = encode_conditions(SPEC, [ONE, partly(ONE, 4)], 2)
    whole = mean_mel_loss(mean, x_0, condition, known_frames(condition))
    frames = known_frames(condition) / 2
    halves = [mean_mel_loss(*(x[[i]] for x in (mean, x_0, condition)), frames) for i in (0, 1)]
    assert sum(halves) / 2 == pytest.approx(whole.item())


def test_all_of_the_encoder_is_trained_but_the_durations():
    conditional = network(SPEC).train()
    condition = encode_conditions(SPEC, [partly(ONE, 10), None], 2)
    output, mean = conditional(noise(), TIME, condition, with_mean=True)
    (output.square().mean() + mean.square().mean()).backward()
    for name, parameter in conditional.condition.named_parameters():
        trained = parameter.grad is not None and bool(parameter.grad.any())
        assert trained != name.startswith("durations."), name


def test_half_precision_is_close():
    conditional, condition = network(SPEC), encode_conditions(SPEC, [ONE, OTHER], 2)
    with torch.inference_mode():
        exact = conditional(noise(), TIME, condition)
        with torch.autocast("cpu", torch.bfloat16):
            rough = conditional(noise(), TIME, condition).float()
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()
