"""Sampling: seconds of audio a second, with the looks at which a sampler's quality levels off."""

import torch
from contenders import SAME_SIZE
from report import Row
from timing import Work, ratio, take_turns

from ddpmlib.ddpm import DDPM, autocast
from ddpmlib.unet import UNetConfig

ROUNDS, COUNT, TIMED = 3, 16, 4  # looks timed; one costs what another costs
LEVELS_OFF = {"dpmpp_2m": 25, "ddim": 50, "ddpm": 100}  # notebook 05
GOAL_SECONDS = 4.0  # for 16 samples


def ours(sampler: str, path: str = "") -> Work:
    """TIMED looks for COUNT pictures of the default network, or of kept weights."""
    network = UNetConfig().build().to(memory_format=torch.channels_last)
    model = DDPM.load(path) if path else DDPM(network.eval())
    return lambda: model.sample(COUNT, sampler, TIMED)


def theirs(scheduler: str) -> Work:
    """TIMED looks of a network of the same size under a scheduler of diffusers."""
    import diffusers

    network = SAME_SIZE.build().to(memory_format=torch.channels_last).eval()
    steps = getattr(diffusers, scheduler)(num_train_timesteps=1000)

    def work() -> None:
        steps.set_timesteps(TIMED)
        x_t = torch.randn(COUNT, 1, 64, 256)
        with torch.inference_mode(), autocast(x_t.device):
            for t in steps.timesteps:
                x_t = steps.step(network(x_t, t.expand(COUNT) / 1000), t, x_t).prev_sample

    return work


OTHERS = {"DDPMScheduler": 1000, "DDIMScheduler": 50, "DPMSolverMultistepScheduler": 20}
BESIDE = dict(zip(LEVELS_OFF, reversed(OTHERS), strict=True))


def measure() -> list[Row]:
    """Each sampler beside the scheduler of its kind, and the shipped weights."""
    contenders = {sampler: (ours, sampler) for sampler in LEVELS_OFF}
    contenders |= {scheduler: (theirs, scheduler) for scheduler in OTHERS}
    contenders["shipped"] = (ours, "dpmpp_2m", "pretrained")
    turns = take_turns(contenders, ROUNDS)
    audio = COUNT * DDPM(UNetConfig().build()).params.seconds
    rows = []
    for sampler, looks in LEVELS_OFF.items():
        scheduler = BESIDE[sampler]
        mine = turns[sampler].median * looks / TIMED
        other = turns[scheduler].median * OTHERS[scheduler] / TIMED
        share = OTHERS[scheduler] / looks
        rows.append(
            Row(
                work=f"sampling with {sampler}, {looks} looks",
                ours=audio / mine,
                unit="seconds of audio a second",
                beside=f"diffusers {scheduler}, {OTHERS[scheduler]} looks, same size",
                theirs=audio / other,
                ratio=ratio(turns[scheduler], turns[sampler]) * share,
                note=f"{COUNT} samples in {mine:.1f} s (goal with dpmpp_2m: {GOAL_SECONDS:g} s)",
            )
        )
    shipped = turns["shipped"].median * LEVELS_OFF["dpmpp_2m"] / TIMED
    label = f"the same with the shipped weights and their guide, {LEVELS_OFF['dpmpp_2m']} looks"
    note = f"{COUNT} samples in {shipped:.1f} s; looks timed: {TIMED} of each, then multiplied"
    return [*rows, Row(label, audio / shipped, "seconds of audio a second", note=note)]
