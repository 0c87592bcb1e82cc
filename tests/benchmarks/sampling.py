"""Sampling: seconds of audio a second, with the steps at which a sampler's quality levels off."""

import diffusers
import torch
from networks import SAME_SIZE
from report import Row
from timing import Work, ratio, take_turns

from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.models.devices import autocast
from ddpmlib.models.unet import UNetConfig
from ddpmlib.spectrogram.params import DEFAULT

ROUNDS, COUNT, TIMED = 3, 16, 4  # steps timed; one takes what another takes
# Where quality levels off by notebook 05; its kind in diffusers, with the steps usual there.
SAMPLERS = {
    "dpmpp_2m": (12, "DPMSolverMultistepScheduler", 20),
    "ddim": (50, "DDIMScheduler", 50),
    "ddpm": (100, "DDPMScheduler", 1000),
}
GOAL = "goal: 16 samples in less than 4 s"


def default_network(sampler: str) -> Work:
    """TIMED steps for COUNT mel-spectrograms."""
    network = UNetConfig().build().to(memory_format=torch.channels_last)
    model = DDPM(network.eval())
    return lambda: model.sample(COUNT, sampler, TIMED)


def shipped_weights() -> Work:
    """The same by a network of twice the width, with its guiding model."""
    model = DDPM.load("pretrained")
    return lambda: model.sample(COUNT, "dpmpp_2m", TIMED)


def theirs(scheduler: str) -> Work:
    """The same by a network of the same size under a scheduler of diffusers."""
    network = SAME_SIZE.build().to(memory_format=torch.channels_last).eval()
    made = getattr(diffusers, scheduler)(num_train_timesteps=1000)

    def work() -> None:
        made.set_timesteps(TIMED)
        x_t = torch.randn(COUNT, 1, *DEFAULT.image_size)
        with torch.inference_mode(), autocast(x_t.device):
            for t in made.timesteps:
                x_t = made.step(network(x_t, t.expand(COUNT) / 1000), t, x_t).prev_sample

    return work


def measure() -> list[Row]:
    """Each sampler beside the scheduler of its kind, and the shipped weights."""
    contenders = {sampler: (default_network, sampler) for sampler in SAMPLERS}
    contenders |= {scheduler: (theirs, scheduler) for _, scheduler, _ in SAMPLERS.values()}
    turns = take_turns(contenders | {"shipped": (shipped_weights,)}, ROUNDS)
    audio, rows = COUNT * DEFAULT.seconds, []
    for sampler, (steps, scheduler, their_steps) in SAMPLERS.items():
        step, their_step = (turns[name].median / TIMED for name in (sampler, scheduler))
        each = ratio(turns[scheduler], turns[sampler])
        note = f"{COUNT} samples in {step * steps:.1f} s; ratio of one step {each:.2g}"
        rows.append(
            Row(
                work=f"sampling, {steps} steps of {sampler}",
                ours=audio / (step * steps),
                unit="seconds of audio a second",
                beside=f"diffusers {scheduler}, {their_steps} steps, same size",
                theirs=audio / (their_step * their_steps),
                ratio=each * their_steps / steps,
                note=f"{note}; {GOAL}" if sampler == "dpmpp_2m" else note,
            )
        )
    steps = DDPM.load("pretrained").settings()["num_steps"]
    taken = turns["shipped"].median / TIMED * steps
    label = f"the same, shipped weights with their guiding model, {steps} steps of dpmpp_2m"
    note = f"{COUNT} samples in {taken:.1f} s; in each row {TIMED} steps were timed"
    return [*rows, Row(label, audio / taken, "seconds of audio a second", note=note)]
