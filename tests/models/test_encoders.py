"""The way of a condition into the network: without effect at first, then with the right one."""

import json

import numpy as np
import pytest
import torch
from conditional import SPECS, batch, network
from tiny import NETWORK

from ddpmlib.models.condition import EmbeddingCondition
from ddpmlib.models.condition_rows import encode_conditions
from ddpmlib.models.unet import UNetConfig

every_spec = pytest.mark.parametrize("name", SPECS)


@every_spec
def test_a_config_goes_through_json_with_its_condition(name):
    config = NETWORK.with_condition(SPECS[name][0])
    assert UNetConfig(**json.loads(json.dumps(config.to_dict()))) == config


@every_spec
def test_an_encoder_has_no_effect_at_first(name):
    spec, one, other = SPECS[name]
    without = network(None)
    conditional = NETWORK.with_condition(spec).build().eval()
    new = conditional.load_state_dict(without.state_dict(), strict=False)
    assert new.missing_keys
    assert all(key.startswith("condition.") for key in new.missing_keys)
    assert not new.unexpected_keys
    with torch.inference_mode():
        rows = encode_conditions(spec, [one, other, None], 3)
        assert torch.equal(conditional(*batch(), rows), without(*batch()))


@every_spec
def test_all_else_begins_with_the_same_weights(name):
    torch.manual_seed(0)
    without = NETWORK.build().state_dict()
    torch.manual_seed(0)
    conditional = NETWORK.with_condition(SPECS[name][0]).build().state_dict()
    assert all(torch.equal(conditional[key], value) for key, value in without.items())


@every_spec
def test_the_output_depends_on_the_condition_of_each_mel(name):
    spec, one, other = SPECS[name]
    conditional = network(spec)
    with torch.inference_mode():
        null, *outputs = (
            conditional(*batch(), encode_conditions(spec, value, 3)) for value in (None, one, other)
        )
        torch.testing.assert_close(conditional(*batch()), null, atol=1e-5, rtol=1e-5)
        assert min((outputs[0] - outputs[1]).abs().amax((1, 2, 3))) > 1e-3
        assert min((outputs[0] - null).abs().amax((1, 2, 3))) > 1e-3
        mixed = conditional(*batch(), encode_conditions(spec, [one, other, None], 3))
    for i, expected in enumerate((*outputs, null)):
        torch.testing.assert_close(mixed[i], expected[i], atol=1e-5, rtol=1e-5)


def test_the_length_of_a_vector_counts():
    conditional = network(EmbeddingCondition(1))
    with torch.inference_mode():
        one, five = (conditional(*batch(), torch.full((3, 1), value)) for value in (1.0, 5.0))
    assert (one - five).abs().max() > 1e-3


def test_a_vector_of_zeros_is_not_the_null_condition():
    spec = EmbeddingCondition(4)
    conditional = network(spec)
    with torch.inference_mode():
        zeros, null = (
            conditional(*batch(), encode_conditions(spec, v, 3)) for v in (np.zeros(4), None)
        )
    assert (zeros - null).abs().max() > 1e-3


def test_padding_after_the_end_of_a_text_has_no_effect():
    spec, one, _ = SPECS["tokens"]
    conditional = network(spec)
    with torch.inference_mode():
        before = conditional(*batch(), encode_conditions(spec, one, 3))
        conditional.condition.read.weight[spec.null] += 5
        assert torch.equal(conditional(*batch(), encode_conditions(spec, one, 3)), before)


def test_each_column_of_a_mel_attends_to_the_text_in_its_own_way():
    spec, _, _ = SPECS["tokens"]
    encoder = network(spec).condition
    with torch.inference_mode():
        _, context = encoder(encode_conditions(spec, "abc", 1))
        x = torch.zeros(1, encoder.to_q.in_features, 2, 8)
        attended = encoder.attend(x, context) - x
    assert attended.std(dim=3).max() > 1e-4


def test_parameters_are_called_as_in_the_weights_of_earlier_versions():
    names = {
        name: {key.split(".")[1] for key in network(spec).state_dict() if key[:9] == "condition"}
        for name, (spec, *_) in SPECS.items()
    }
    sequence = "read begin layer norm beside norm_x column to_q to_kv out"
    phones = "table unknown first blocks images columns durations merge"
    assert names == {
        "labels": {"table"},
        "vector": {"project", "nothing"},
        "sequence": set(sequence.split()),
        "tokens": set(sequence.split()),
        "phones": set(phones.split()),
    }
