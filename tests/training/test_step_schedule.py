"""What each step does follows from (config, step) alone, and is as random as it should be."""

import pytest
import torch
from tiny import tiny_config

from ddpmlib.training import step_schedule as schedule
from ddpmlib.training.step_schedule import learning_rate


def test_the_learning_rate_warms_up_and_decays():
    config = tiny_config(warmup_steps=10, learning_rate=1e-3)
    warm = [learning_rate(config, step, 0) for step in (0, 4, 9, 10)]
    assert warm == pytest.approx([1e-4, 5e-4, 1e-3, 1e-3])
    decay = [learning_rate(config, 500, share) for share in (0, 0.5, 0.7, 0.85, 1)]
    assert decay == pytest.approx([1e-3, 1e-3, 1e-3, 0.525e-3, 0.05e-3])


def test_an_epoch_shows_each_mel_at_most_once_and_each_epoch_has_its_own_order():
    config = tiny_config(batch_size=4)
    first, second = schedule.order(config, 0, 18), schedule.order(config, 1, 18)
    assert first.shape == (4, 4)
    for order in (first, second):
        assert len(set(order.flatten().tolist())) == 16
        assert 0 <= order.min() <= order.max() < 18
    assert not torch.equal(first, second)
    assert torch.equal(first, schedule.order(config, 0, 18))
    shown = {i for epoch in range(20) for i in schedule.order(config, epoch, 18).flatten().tolist()}
    assert shown == set(range(18))  # what one epoch leaves out, another shows


def test_mels_that_do_not_fill_a_batch_come_several_times():
    config = tiny_config(batch_size=16)
    assert schedule.epoch_steps(config, 18) == 1
    for count in (1, 4, 15):
        order = schedule.order(config, 0, count)
        assert order.shape == (schedule.epoch_steps(config, count), 16) == (count, 16)
        assert order.flatten().bincount().tolist() == [16] * count
        assert max(batch.bincount().max() for batch in order) <= 2 * 16 // count + 1, "mixed"


def test_batches_are_those_of_the_order_with_a_new_number_each():
    config = tiny_config(batch_size=4)
    for epoch in (0, 1):
        numbers, rows = zip(*schedule.batches(config, epoch, 18), strict=True)
        assert numbers == tuple(range(4 * epoch, 4 * epoch + 4))
        assert torch.equal(torch.stack(rows), schedule.order(config, epoch, 18))


@pytest.mark.parametrize("count", [2, 6, 18, 1000])
def test_every_epoch_of_a_student_has_the_same_batches_in_another_order(count, monkeypatch):
    monkeypatch.setattr(schedule, "LESSONS", 32)
    config = tiny_config(batch_size=4, student_steps=2, init_from="teacher")
    first, second = (schedule.batches(config, epoch, count) for epoch in (0, 1))
    assert len(first) == schedule.epoch_steps(config, count) == 8
    assert [number for number, _ in first] != [number for number, _ in second]
    assert sorted(number for number, _ in first) == list(range(8))
    again = dict(second)
    assert all(torch.equal(rows, again[number]) for number, rows in first)
    # They are what a run of its own would have begun with.
    ordinary = tiny_config(batch_size=4)
    begun = [pair for epoch in range(8) for pair in schedule.batches(ordinary, epoch, count)]
    assert all(torch.equal(again[number], rows) for number, rows in begun[:8])


def test_times_are_spread_over_a_batch_and_reach_the_first_and_the_last_step():
    """Step 0 included: the original never trained it."""
    config = tiny_config(batch_size=16, noise_steps=100, time_sampling="uniform")
    drawn = [schedule.times(config, step) for step in range(400)]
    for t in drawn:
        assert t.shape == (16,)
        assert t.dtype == torch.int64
        assert (t.sort().values.diff() - 100 / 16).abs().max() <= 1
    together = torch.cat(drawn)
    assert (together.min(), together.max()) == (0, 99)
    counts = torch.bincount(together, minlength=100)
    assert counts.min() > 32  # of 64 on average
    assert counts.max() < 128


def test_times_prefer_the_middle_as_a_logit_normal_distribution_does():
    config = tiny_config(batch_size=16, noise_steps=1000)
    drawn = [schedule.times(config, step) for step in range(400)]
    together = torch.cat(drawn).double().add(0.5).div(1000)
    assert (together.logit().mean(), together.logit().std()) == pytest.approx((0, 1.25), abs=0.02)
    shares = [(t.double().add(0.5) / 1000).logit() for t in drawn]
    normal = torch.distributions.Normal(0, 1.25)
    spread = torch.stack([normal.cdf(share).sort().values.diff() for share in shares])
    assert (spread - 1 / 16).abs().max() < 0.01, "evenly spread over each batch, too"


def test_noise_is_standard_normal_and_new_in_every_step():
    config = tiny_config(batch_size=8)
    noise = torch.stack([schedule.noise(config, step, torch.device("cpu")) for step in range(50)])
    assert noise.shape == (50, 8, 1, 8, 16)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    flat = noise.flatten(1)
    correlation = torch.corrcoef(flat) - torch.eye(50)
    assert correlation.abs().max() < 0.2
    assert torch.equal(noise[3], schedule.noise(config, 3, torch.device("cpu")))


@pytest.mark.parametrize("seeds", [(0, 1), (0, 2**31), (7, 2**32 - 1)])
def test_every_draw_depends_on_the_seed(seeds):
    one, other = (tiny_config(seed=seed) for seed in seeds)
    assert not torch.equal(schedule.order(one, 0, 500), schedule.order(other, 0, 500))
    drawn = [torch.cat([schedule.times(c, step) for step in range(9)]) for c in (one, other)]
    assert not torch.equal(*drawn)
    device = torch.device("cpu")
    assert not torch.allclose(schedule.noise(one, 0, device), schedule.noise(other, 0, device))


def test_times_and_noise_have_nothing_to_do_with_each_other():
    """Drawn from one seed, the first pixel of the noise would tell the time."""
    config = tiny_config(batch_size=1, noise_steps=1000)
    device = torch.device("cpu")
    times = torch.cat([schedule.times(config, step) for step in range(2000)]).float()
    noise = torch.stack([schedule.noise(config, step, device)[0, 0, 0] for step in range(2000)])
    for measure in (noise, noise.abs()):
        correlation = torch.corrcoef(torch.cat([times[None], measure.T]))[0, 1:]
        assert correlation.abs().max() < 0.1
