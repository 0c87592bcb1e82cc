"""A wrong parameter is named, together with the value given and the value needed."""

import json
import re

import pytest

from ddpmlib.training.config import TrainConfig


def test_a_run_goes_on_with_the_earlier_defaults_it_was_begun_with():
    begun = {"batch_size": 16, "learning_rate": 4e-4, "epochs": 7}  # no choice of an optimizer
    config = TrainConfig().as_begun(begun)
    assert (config.batch_size, config.learning_rate, config.optimizer) == (16, 4e-4, "adam")
    assert config.time_sampling == "uniform"
    assert config.epochs == TrainConfig().epochs, "only what was a default is taken over"
    given = TrainConfig(batch_size=8, learning_rate=1e-3).as_begun(begun)
    assert (given.batch_size, given.learning_rate) == (8, 1e-3), "what is given, counts"
    assert TrainConfig().as_begun(TrainConfig().to_dict()) == TrainConfig()
    assert TrainConfig().as_begun(begun | {"batch_size": 12}).batch_size == 4


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("epochs", "10", "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", 10.0, "a whole number"),
        ("epochs", None, "a whole number"),
        ("batch_size", 4.0, "a whole number"),
        ("seed", "0", "a whole number"),
        ("noise_steps", 100.0, "a whole number"),
        ("num_samples", False, "a whole number"),
        ("sample_every", "1", "a whole number"),
        ("warmup_steps", 1e2, "a whole number"),
        ("learning_rate", "1e-4", "a number"),
        ("learning_rate", True, "a number"),
        ("learning_rate", None, "a number"),
        ("clip_norm", [1], "a number"),
        ("ema_decay", "0.9", "a number"),
        ("checkpoint_minutes", "5", "a number"),
        ("max_minutes", "30", "a number or None"),
        ("max_minutes", True, "a number or None"),
        ("device", 0, "a text"),
        ("device", None, "a text"),
        ("dataset", 256, "a text"),
        ("bucket_name", None, "a text"),
        ("result_bucket", 1, "a text"),
        ("name", 7, "a text"),
        ("schedule", None, "a text"),
        ("prediction_type", 1, "a text"),
        ("precision", 16, "a text"),
        ("image_size", 64, "two whole numbers"),
        ("image_size", "64x256", "two whole numbers"),
        ("image_size", [64], "two whole numbers"),
        ("image_size", [64, 256, 1], "two whole numbers"),
        ("image_size", [64.0, 256.0], "two whole numbers"),
        ("image_size", (True, 256), "two whole numbers"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(name, value, needed):
    given = (
        value if not isinstance(value, list) else tuple(value) if name == "image_size" else value
    )
    with pytest.raises(TypeError, match=f"^{name} is {re.escape(repr(given))} .*must be {needed}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("sample_every", 0, "at least 1"),
        ("warmup_steps", 0, "at least 1"),
        ("num_samples", -1, "at least 0"),
        ("seed", -1, "0 to 4294967295"),
        ("seed", 2**32, "0 to 4294967295"),
        ("noise_steps", 9, "at least 10"),
        ("learning_rate", 0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("clip_norm", -1.0, "above 0"),
        ("checkpoint_minutes", 0.0, "above 0"),
        ("max_minutes", 0, "above 0"),
        ("ema_decay", 1.0, "below 1"),
        ("ema_decay", -0.1, "at least 0"),
        ("device", "gpu", "auto, cpu, cuda, mps"),
        ("precision", "float16", "auto, bfloat16, float32"),
        ("schedule", "sigmoid", "linear, cosine"),
        ("prediction_type", "noise", "eps, x0, v"),
    ],
)
def test_a_value_out_of_range_is_named(name, value, needed):
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; .*{needed}"):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    "name", ["", "a/b", "/tmp/run", "../run", "..", ".", ".hidden", "a\\b", "a/"]
)
def test_a_name_that_would_leave_the_folder_of_runs_is_refused(name):
    with pytest.raises(ValueError, match=f"^name is {re.escape(repr(name))}; needed: a plain name"):
        TrainConfig(name=name)


def test_dots_inside_a_name_are_fine():
    assert TrainConfig(name="voice v1.2").name == "voice v1.2"


def test_a_list_is_as_good_as_a_tuple_for_image_size():
    assert TrainConfig(image_size=[80, 256]).image_size == (80, 256)
    assert TrainConfig(image_size=(80, 256)).image_size == (80, 256)


def test_a_whole_number_is_as_good_as_a_float():
    config = TrainConfig(learning_rate=1, clip_norm=2, max_minutes=30, ema_decay=0)
    assert (config.learning_rate, config.clip_norm, config.max_minutes) == (1, 2, 30)


def test_defaults_of_the_original_that_still_hold():
    config = TrainConfig()
    assert (config.epochs, config.image_size) == (100, (64, 256))
    assert config.max_minutes is None


def test_an_old_name_of_a_parameter_is_accepted_with_a_line(capsys):
    assert TrainConfig.from_parameters({"target": "eps"}).prediction_type == "eps"
    assert capsys.readouterr().out.startswith("'target' is now called 'prediction_type'")
    with pytest.raises(ValueError, match="prediction_type is 'noise'; needed: eps, x0, v"):
        TrainConfig.from_parameters({"target": "noise"})


def test_parameters_of_a_notebook_make_a_config_and_an_unknown_one_is_named():
    assert TrainConfig.from_parameters({"epochs": 3, "image_size": [8, 16]}).epochs == 3
    with pytest.raises(TypeError, match=r"unknown parameter 'lr'; known: .*learning_rate"):
        TrainConfig.from_parameters({"epochs": 3, "lr": 1e-4})
    with pytest.raises(TypeError, match="epochs is '3'"):
        TrainConfig.from_parameters({"epochs": "3"})


def test_a_config_survives_json():
    config = TrainConfig(image_size=[80, 256], max_minutes=1.5, name="x")
    assert TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config
