"""Sampling: seconds of audio a second, with the looks at which a sampler's quality levels off."""

import diffusers
import torch
from networks import SAME_SIZE
from report import Row
from timing import Work, ratio, take_turns

from ddpmlib.ddpm import DDPM
from ddpmlib.devices import autocast
from ddpmlib.spectrogram import DEFAULT
from ddpmlib.unet import UNetConfig

ROUNDS, COUNT, TIMED = 3, 16, 4  # looks timed; one costs what another costs
# Where quality levels off by notebook 05; its kind in diffusers, with the looks usual there.
SAMPLERS = {
    "dpmpp_2m": (25, "DPMSolverMultistepScheduler", 20),
    "ddim": (50, "DDIMScheduler", 50),
    "ddpm": (100, "DDPMScheduler", 1000),
}
GOAL = "goal: 16 samples in less than 4 s"


def default_network(sampler: str) -> Work:
    """TIMED looks for COUNT pictures."""
    network = UNetConfig().build().to(memory_format=torch.channels_last)
    model = DDPM(network.eval())
    return lambda: model.sample(COUNT, sampler, TIMED)


def shipped_weights() -> Work:
    """The same by a network of twice the width, with its guide."""
    model = DDPM.load("pretrained")
    return lambda: model.sample(COUNT, "dpmpp_2m", TIMED)


def theirs(scheduler: str) -> Work:
    """The same by a network of the same size under a scheduler of diffusers."""
    network = SAME_SIZE.build().to(memory_format=torch.channels_last).eval()
    steps = getattr(diffusers, scheduler)(num_train_timesteps=1000)

    def work() -> None:
        steps.set_timesteps(TIMED)
        x_t = torch.randn(COUNT, 1, *DEFAULT.image_size)
        with torch.inference_mode(), autocast(x_t.device):
            for t in steps.timesteps:
                x_t = steps.step(network(x_t, t.expand(COUNT) / 1000), t, x_t).prev_sample

    return work


def measure() -> list[Row]:
    """Each sampler beside the scheduler of its kind, and the shipped weights."""
    contenders = {sampler: (default_network, sampler) for sampler in SAMPLERS}
    contenders |= {scheduler: (theirs, scheduler) for _, scheduler, _ in SAMPLERS.values()}
    turns = take_turns(contenders | {"shipped": (shipped_weights,)}, ROUNDS)
    audio, rows = COUNT * DEFAULT.seconds, []
    for sampler, (looks, scheduler, their_looks) in SAMPLERS.items():
        look, their_look = (turns[name].median / TIMED for name in (sampler, scheduler))
        each = ratio(turns[scheduler], turns[sampler])
        note = f"{COUNT} samples in {look * looks:.1f} s; ratio of one look {each:.2g}"
        rows.append(
            Row(
                work=f"sampling, {looks} looks of {sampler}",
                ours=audio / (look * looks),
                unit="seconds of audio a second",
                beside=f"diffusers {scheduler}, {their_looks} looks, same size",
                theirs=audio / (their_look * their_looks),
                ratio=each * their_looks / looks,
                note=f"{note}; {GOAL}" if sampler == "dpmpp_2m" else note,
            )
        )
    looks = SAMPLERS["dpmpp_2m"][0]
    taken = turns["shipped"].median / TIMED * looks
    label = f"the same, shipped weights with their guide, {looks} looks of dpmpp_2m"
    note = f"{COUNT} samples in {taken:.1f} s; in each row {TIMED} looks were timed"
    return [*rows, Row(label, audio / taken, "seconds of audio a second", note=note)]
