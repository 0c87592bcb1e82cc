"""The network: shapes, sizes it refuses, what it depends on, and that all of it learns."""

import pytest
import torch
from torch.nn import functional

from ddpmlib.models.unet import UNet, UNetConfig, Upsample
from ddpmlib.spectrogram.params import PRESETS

TINY = UNetConfig(width=8, multipliers=(1, 2), heads=2)


def filled(config: UNetConfig = TINY, seed: int = 0) -> UNet:
    """A network whose zero-initialised ends have been filled, as training would."""
    torch.manual_seed(seed)
    network = UNet(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
    return network.eval()


def noisy(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 4, 8), (3, 20, 12), (2, 64, 256)])
def test_output_has_the_shape_of_the_input_for_any_divisible_size(height, width, batch):
    x_t = noisy(batch, 1, height, width)
    with torch.no_grad():
        assert UNet(TINY)(x_t, torch.rand(batch)).shape == x_t.shape


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(width=8, multipliers=(1,), heads=1),
        UNetConfig(width=8, multipliers=(1, 2, 2, 4), blocks=2),
        UNetConfig(width=8, multipliers=(1, 2), patch=1),
        UNetConfig(width=16, multipliers=[1, 3], patch=4),
    ],
)
def test_other_shapes_of_the_network_work(config):
    x_t = noisy(2, 1, 2 * config.factor, 3 * config.factor)
    with torch.no_grad():
        assert filled(config)(x_t, torch.rand(2)).shape == x_t.shape


@pytest.mark.parametrize(
    ("size", "near"),
    [((65, 256), (64, 256)), ((64, 250), (64, 248)), ((2, 2), (8, 8)), ((64, 131), (64, 128))],
)
def test_a_size_that_cannot_be_halved_is_named_with_the_nearest_that_can(size, near):
    words = (
        rf"image_size \({size[0]}, {size[1]}\) .*multiples of 8, such as \({near[0]}, {near[1]}\)"
    )
    with pytest.raises(ValueError, match=words):
        UNetConfig().check_image_size(size)
    with pytest.raises(ValueError, match=words):
        UNet(UNetConfig(width=8))(noisy(1, 1, *size), torch.rand(1))


def test_upsampling_is_nearest_neighbour_and_a_convolution_forward_and_backward():
    block, x = Upsample(8), noisy(2, 8, 3, 5).requires_grad_()
    wanted = block.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    inputs, some = (x, block.conv.weight, block.conv.bias), noisy(2, 8, 6, 10, seed=2)
    torch.testing.assert_close(block(x), wanted)
    theirs = torch.autograd.grad((wanted * some).sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad((block(x) * some).sum(), inputs), theirs)


def test_every_preset_fits_the_default_network():
    for params in PRESETS.values():
        UNetConfig().check_image_size(params.image_size)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 20}, "width is 20; it must be a multiple of 8"),
        ({"width": 0}, "width is 0; it must be at least 1"),
        ({"blocks": 0}, "blocks is 0; it must be at least 1"),
        ({"patch": 0}, "patch is 0; it must be at least 1"),
        ({"width": 8, "multipliers": (1,), "heads": 3}, "of 3 heads"),
        ({"multipliers": ()}, r"multipliers is \(\); it must be whole numbers of at least 1"),
        ({"multipliers": (1, 0)}, r"multipliers is \(1, 0\); it must be whole numbers"),
    ],
)
def test_a_wrong_shape_of_the_network_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        UNetConfig(**changes)


def test_the_default_network_has_2_to_4_million_parameters():
    assert 2e6 < sum(p.numel() for p in UNet().parameters()) < 4e6


def test_an_untrained_network_predicts_zero():
    with torch.no_grad():
        assert not UNet(TINY)(noisy(2, 1, 8, 16), torch.rand(2)).any()


def test_the_output_depends_on_the_time_of_each_mel():
    network, x_t = filled(), noisy(1, 1, 8, 16).expand(3, -1, -1, -1)
    with torch.no_grad():
        out = network(x_t, torch.tensor([0.1, 0.1, 0.9]))
    assert torch.allclose(out[0], out[1], atol=1e-6)
    assert not torch.allclose(out[0], out[2], atol=1e-2)


def test_times_a_thousandth_apart_differ_and_are_embedded_alike_in_any_batch():
    embed = filled().time
    with torch.no_grad():
        near = embed(torch.tensor([0.500, 0.501, 0.002, 0.003]))
        assert torch.allclose(embed(torch.tensor([0.002])), near[2:3], atol=1e-6)
    assert (near[0] - near[1]).abs().max() > 1e-3
    assert (near[2] - near[3]).abs().max() > 1e-3


def test_the_mels_of_a_batch_do_not_mix():
    network, x_t, time = filled(), noisy(3, 1, 8, 16), torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        together = network(x_t, time)
        alone = torch.cat([network(x_t[i : i + 1], time[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_far_pixels_see_each_other():
    """Attention: a change in one corner reaches the opposite one, beyond any convolution."""
    network, x_t = filled(), noisy(1, 1, 64, 64)
    changed = x_t.clone()
    changed[..., :4, :4] += 3
    plain = filled()
    with torch.no_grad():
        torch.nn.init.zeros_(plain.middle[1].out.weight)
        moved, still = (
            (n(changed, torch.tensor([0.5])) - n(x_t, torch.tensor([0.5])))[..., -8:, -8:]
            for n in (network, plain)
        )
    assert not torch.allclose(moved, still, atol=1e-4)


def test_the_output_depends_on_the_mel_band():
    """Far from the edges, an even input has an even output by convolutions alone."""
    network, x_t = filled(), torch.zeros(1, 1, 256, 256)
    with torch.no_grad():
        out = network(x_t, torch.tensor([0.5]))[0, 0, 96:160:4, 96:160:4]  # one place of a patch
    assert (out.diff(dim=0).abs() > 1e-4).float().mean() > 0.9
    assert out.diff(dim=1).abs().max() < 1e-5  # the axis of time has no such coordinate


def test_training_reaches_every_parameter_within_three_steps():
    torch.manual_seed(0)
    network = UNet(TINY)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    reached = set()
    for step in range(3):  # zero-initialised ends let the gradient through one after another
        optimizer.zero_grad()
        wanted = noisy(2, 1, 8, 16, seed=step + 5)
        (network(noisy(2, 1, 8, 16), torch.rand(2)) - wanted).square().mean().backward()
        optimizer.step()
        reached |= {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {name for name, _ in network.named_parameters()}


def test_bfloat16_is_close_to_float32():
    network, x_t = filled(), noisy(2, 1, 16, 32)
    with torch.no_grad():
        exact = network(x_t, torch.tensor([0.2, 0.7]))
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(x_t, torch.tensor([0.2, 0.7])).float()
    assert (exact - rough).abs().mean() < 0.03 * exact.abs().mean()


def test_the_weights_survive_a_round_trip_through_their_state():
    network, other = filled(seed=1), filled(seed=2)
    other.load_state_dict(network.state_dict())
    x_t, time = noisy(2, 1, 8, 16), torch.tensor([0.2, 0.7])
    with torch.no_grad():
        assert torch.equal(network(x_t, time), other(x_t, time))
    assert UNetConfig(**TINY.to_dict()) == TINY
