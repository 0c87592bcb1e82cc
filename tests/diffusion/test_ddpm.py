"""The whole model: saved, loaded, refused when foreign, and sampled without side effects."""

import json
import pickle
import re
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import NETWORK, PARAMS

from ddpmlib.diffusion import ddpm
from ddpmlib.diffusion.ddpm import DDPM, GUIDING_MODEL, WEIGHTS
from ddpmlib.models import devices
from ddpmlib.models.unet import UNet, UNetConfig


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Float32 on one thread, whatever the machine."""
    monkeypatch.setattr(devices, "_has_bfloat16", lambda device: False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> DDPM:
    torch.manual_seed(0)
    network = UNet(NETWORK)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
    return DDPM(network.eval(), PARAMS, "linear", 50, "eps")


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / WEIGHTS
    model.save(path, step=7)
    return path


def weights(model: DDPM) -> list[torch.Tensor]:
    return [value.clone() for value in model.network.state_dict().values()]


def metadata(path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["ddpm"])


def test_a_loaded_model_makes_the_same_mels_to_the_bit(model, saved):
    for path in (saved, saved.parent):  # the file, or the run folder that holds it
        loaded = DDPM.load(path)
        assert (loaded.params, loaded.schedule) == (PARAMS, "linear")
        assert (loaded.noise_steps, loaded.prediction_type) == (50, "eps")
        assert loaded.network.config == NETWORK
        assert not loaded.network.training
        assert np.array_equal(loaded.sample(2, num_steps=5), model.sample(2, num_steps=5))


def test_what_rebuilds_the_model_travels_inside_the_weights(saved):
    facts = metadata(saved)
    assert facts["params"] == PARAMS.to_dict()
    assert facts["network"] == {**NETWORK.to_dict(), "multipliers": [1, 2]}
    assert (facts["schedule"], facts["noise_steps"], facts["target"]) == ("linear", 50, "eps")
    assert facts["step"] == 7


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module.module.", "_orig_mod.module._orig_mod."]
)
def test_names_of_a_wrapped_model_are_accepted(prefix, model, saved):
    state = {f"{prefix}{name}": value for name, value in load_file(saved).items()}
    save_file(state, saved, {"ddpm": json.dumps(metadata(saved))})
    assert np.array_equal(DDPM.load(saved).sample(1, num_steps=3), model.sample(1, num_steps=3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("half", [False, True])
def test_weights_that_are_not_finite_are_refused_with_the_tensor_and_the_count(
    bad, half, model, saved
):
    model.network.middle[0].conv1.weight.data.view(-1)[[3, 5, 7]] = bad
    model.save(saved, half=half)
    size = model.network.middle[0].conv1.weight.numel()
    words = f"3 of {size} values of middle.0.conv1.weight in {saved} are NaN or infinite; needed:"
    with pytest.raises(ValueError, match=re.escape(words)):
        DDPM.load(saved)


def test_weights_of_a_guiding_model_that_are_not_finite_are_refused(model, saved):
    model.network.head.bias.data[:] = np.nan
    model.save(saved.parent / GUIDING_MODEL)
    with pytest.raises(ValueError, match=f"4 of 4 values of head.bias in .*{GUIDING_MODEL}"):
        DDPM.load(saved.parent)


def test_a_claim_to_be_huge_is_compared_before_it_takes_memory(saved):
    facts = metadata(saved) | {"network": {**NETWORK.to_dict(), "width": 1024}}
    save_file(load_file(saved), saved, {"ddpm": json.dumps(facts)})
    with pytest.raises(ValueError, match=r"time.layers.0.weight is .*; needed: \(4096, 1024\)"):
        DDPM.load(saved)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"needed: \(4096, 1024\)"):
        DDPM.load(saved)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_tensors_that_are_missing_or_unknown_are_named(saved):
    state, facts = load_file(saved), {"ddpm": json.dumps(metadata(saved))}
    bias = state.pop("head.bias")
    save_file(state, saved, facts)
    with pytest.raises(ValueError, match=r"head.bias is missing; needed: \(4,\)"):
        DDPM.load(saved)
    save_file(state | {"head.bias": bias, "tail.bias": bias.clone()}, saved, facts)
    with pytest.raises(ValueError, match=r"tail.bias is of shape \(4,\); needed: no such tensor"):
        DDPM.load(saved)


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["empty", "garbage", "truncated", "pickled", "torch", "png"])
def test_a_file_that_is_not_weights_is_refused_and_not_unpickled(kind, saved, tmp_path):
    sprung = tmp_path / "sprung"
    whole = saved.read_bytes()
    contents = {
        "empty": b"",
        "garbage": bytes(range(256)) * 9,
        "truncated": whole[: len(whole) // 2],
        "pickled": pickle.dumps(Trap(sprung)),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    }
    if kind == "torch":
        torch.save(Trap(sprung), saved)
    else:
        saved.write_bytes(contents[kind])
    with pytest.raises(ValueError, match=f"{saved} is not a whole safetensors file") as caught:
        DDPM.load(saved)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "not written by this project"),
        ("{", "does not fit this version of the project"),
        ("[]", "does not fit this version of the project"),
        ("{}", "does not fit this version of the project: 'network'"),
        ({"network": {"depth": 3}}, "does not fit this version .*depth"),
        ({"network": {"width": 16, "multipliers": [1, 2]}}, "does not fit .*of shape .*; needed"),
        ({"params": {"n_mels": 8, "colour": 1}}, "unknown spectrogram parameter 'colour'"),
        ({"schedule": "sigmoid"}, "schedule is 'sigmoid'"),
        ({"target": "noise"}, "prediction_type is 'noise'"),
    ],
)
def test_foreign_safetensors_are_refused_in_one_sentence(facts, words, saved):
    facts = json.dumps(metadata(saved) | facts) if isinstance(facts, dict) else facts
    save_file(load_file(saved), saved, facts and {"ddpm": facts})
    with pytest.raises(ValueError, match=f"{saved}.*{words}") as caught:
        DDPM.load(saved)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors does not exist"):
        DDPM.load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match=f"{WEIGHTS} does not exist: has this run finished"):
        DDPM.load(tmp_path)


def test_parameters_that_do_not_fit_the_network_are_named():
    odd = replace(PARAMS, n_mels=9)
    with pytest.raises(ValueError, match=r"image_size \(9, 16\) .*such as \(8, 16\)"):
        DDPM(UNet(NETWORK), odd)
    with pytest.raises(ValueError, match="prediction_type is 'noise'; needed: eps, x0, v"):
        DDPM(UNet(NETWORK), PARAMS, prediction_type="noise")


def test_samples_are_mels_that_follow_the_seed(model):
    first = model.sample(3, num_steps=5, seed=4)
    assert first.shape == (3, 1, 8, 16)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    assert first.std() > 0.1
    assert np.array_equal(first, model.sample(3, num_steps=5, seed=4))
    assert not np.allclose(first, model.sample(3, num_steps=5, seed=5), atol=0.1)
    assert not np.allclose(first[0], first[1], atol=0.1)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddim"])
def test_a_mel_depends_on_neither_count_nor_batch_size(model, sampler):
    # v: eps divides by sqrt(alpha_bar) and so magnifies the rounding of a batch's size.
    model = replace(model, prediction_type="v")
    many = model.sample(5, sampler, num_steps=5)
    assert np.abs(model.sample(2, sampler, num_steps=5) - many[:2]).max() < 1e-5
    assert np.abs(model.sample(5, sampler, num_steps=5, batch_size=2) - many).max() < 1e-5


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmpp_2m"])
def test_every_sampler_repeats_itself_and_calls_back(model, sampler):
    seen = []
    options = {"eta": 0.7} if sampler == "ddim" else {}
    call = {"sampler": sampler, "num_steps": 4, **options}
    first = model.sample(3, callback=lambda *args: seen.append(args), batch_size=2, **call)
    assert [step for step, _, _ in seen] == [0, 1, 2, 3] * 2
    assert [len(x_t) for _, x_t, _ in seen] == [2] * 4 + [1] * 4
    assert np.array_equal(first, model.sample(3, batch_size=2, **call))


def test_old_names_of_arguments_are_accepted_and_the_new_ones_printed(model, capsys):
    old = model.sample(1, steps=3, guidance=1.0)
    printed = capsys.readouterr().out
    assert "'steps' is now called 'num_steps'" in printed
    assert "'guidance' is now called 'guidance_scale'" in printed
    assert np.array_equal(old, model.sample(1, num_steps=3, guidance_scale=1.0))
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 0}, "count is 0; needed: at least 1"),
        ({"count": 1, "num_steps": 0}, "num_steps is 0; needed: 1 to 50"),
        ({"count": 1, "num_steps": 51}, "num_steps is 51; needed: 1 to 50"),
        ({"count": 1, "seed": -1}, "seed is -1; needed: 0 to 4294967295"),
        ({"count": 1, "seed": 2**32}, "seed is 4294967296; needed: 0 to 4294967295"),
        ({"count": 1, "seed": 2**64}, "seed is 18446744073709551616; needed: 0 to"),
        ({"count": 1, "sampler": "euler"}, "sampler is 'euler'; needed: ddpm, ddim, dpmpp_2m"),
    ],
)
def test_a_wrong_argument_of_sample_is_named(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        model.sample(**arguments)


def test_sampling_and_validation_leave_random_numbers_and_weights_alone(model):
    model.network.train()
    before, state = weights(model), torch.random.get_rng_state()
    model.sample(2, "ddpm", num_steps=5)
    model.loss_on(list(torch.zeros(3, 1, 8, 16)))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))
    assert all(p.grad is None and p.requires_grad for p in model.network.parameters())


def test_validation_uses_the_same_noise_each_time_and_all_mels(model):
    mels = list(torch.rand(6, 1, 8, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    loss = model.loss_on(mels)
    assert loss == model.loss_on(mels)
    assert loss == pytest.approx(model.loss_on(mels, batch_size=4), rel=1e-5)
    assert loss != model.loss_on([*mels[:-1], torch.ones(1, 8, 16)])
    assert model.loss_on([]) is None


def test_the_validation_loss_of_a_network_that_predicts_zero_is_the_power_of_the_noise():
    model = DDPM(UNet(NETWORK), PARAMS, prediction_type="eps")
    assert model.loss_on(list(torch.zeros(40, 1, 8, 16))) == pytest.approx(1, abs=0.1)


def test_validation_of_many_mels_uses_a_part_spread_evenly(model):
    indices = []

    class Mels(list):
        def __getitem__(self, index):
            indices.append(int(index))
            return torch.zeros(1, 8, 16)

    model.loss_on(Mels(range(1000)), batch_size=64)
    assert len(indices) == len(set(indices)) == ddpm.VALIDATION_MELS
    assert (min(indices), max(indices)) == (0, 999)


def test_the_default_network_takes_the_default_parameters():
    assert DDPM(UNet(UNetConfig(width=8))).params.image_size == (64, 256)


@pytest.mark.parametrize(("precision", "expected"), [("float32", False), ("bfloat16", True)])
def test_the_network_computes_in_the_precision_of_the_model(model, precision, expected):
    seen = []
    model.network.register_forward_pre_hook(
        lambda *_: seen.append(torch.is_autocast_enabled("cpu"))
    )
    replace(model, precision=precision).sample(1, num_steps=2)
    assert seen == [expected, expected]
