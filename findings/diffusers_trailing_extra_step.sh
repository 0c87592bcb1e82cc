#!/usr/bin/env bash
# One expects `set_timesteps(61)` to give 61 sampling steps. With timestep_spacing="trailing", by
# which sampling begins at the last noise level, diffusers counts down with numpy.arange and a float
# step; where that rounds up there is one step more, at time -1. DDIM then reads alphas_cumprod[-1],
# the noisiest level, for the cleanest sample. This happens for 62 of the numbers up to 1000 (61,
# 103, 121 ...). It matters with v-prediction: DDIM with an exact network ends at an RMS error of
# 0.57 on mel-spectrograms in [-1, 1], without an error or a warning. The project computes the steps
# of trailing spacing itself; a test compares them with those of diffusers.
# diffusers 0.42.1, torch 2.13.0
#
# Seen: 60 asked, 60 timesteps, the last is 16, RMS error 0.011
#       61 asked, 62 timesteps, the last is -1, RMS error 0.571
#       62 asked, 62 timesteps, the last is 15, RMS error 0.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet diffusers==0.42.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import diffusers
import torch
from diffusers import DDIMScheduler

X_0 = torch.rand(1, 1, 64, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
OPTIONS = {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}


def sample(asked):
    """(timesteps, RMS error) of DDIM with a network that knows the clean mel-spectrogram."""
    scheduler = DDIMScheduler(num_train_timesteps=1000, **OPTIONS)
    scheduler.set_timesteps(asked)
    x_t = torch.randn(X_0.shape, generator=torch.Generator().manual_seed(1))
    for t in scheduler.timesteps:
        alpha_bar = scheduler.alphas_cumprod[max(int(t), 0)]  # of the cleanest level at time -1
        eps = (x_t - alpha_bar.sqrt() * X_0) / (1 - alpha_bar).sqrt()
        v = alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * X_0
        x_t = scheduler.step(v, t, x_t).prev_sample
    return scheduler.timesteps.tolist(), (x_t - X_0).square().mean().sqrt().item()


print("diffusers", diffusers.__version__, "torch", torch.__version__)
found = {asked: sample(asked) for asked in (60, 61, 62)}
for asked, (times, error) in found.items():
    print(f"{asked} asked, {len(times)} timesteps, the last is {times[-1]}, RMS error {error:.3f}")
times, error = found[61]
if not (len(times) == 62 and times[-1] == -1 and error > 0.3 > found[62][1]):
    raise SystemExit("no longer seen: 61 timesteps when 61 are asked for")
PYTHON
