#!/usr/bin/env bash
# One expects different seeds to give different noise; torch accepts seeds from -2^63 to 2^64 - 1.
# The generator of the CPU (Mersenne Twister) uses only the lower 32 bits: 2^32 + 1 draws what 1
# draws, -1 what 2^32 - 1 draws, and `initial_seed()` still returns the seed as given. It matters
# wherever a seed is packed from two numbers: with (epoch << 32) + step every epoch of a diffusion
# training draws the same noise. The project mixes its numbers into one seed by
# numpy.random.SeedSequence, and refuses a seed above 2^32 - 1.
# torch 2.13.0
#
# Seen: seed 1 and 4294967297: same noise True; initial_seed 1 and 4294967297
#       seed -1 and 4294967295: same noise True
#       (epoch << 32) + step: 1 different draws in 5 epochs
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import torch


def generator(seed):
    return torch.Generator().manual_seed(seed)


def noise(seed):
    return torch.randn(1, 64, 256, generator=generator(seed))


large, step = 2**32 + 1, 7
same = torch.equal(noise(1), noise(large))
wrapped = torch.equal(noise(-1), noise(2**32 - 1))
draws = {tuple(noise((epoch << 32) + step).flatten().tolist()) for epoch in range(5)}
kept = generator(1).initial_seed(), generator(large).initial_seed()
print("torch", torch.__version__)
print(f"seed 1 and {large}: same noise {same}; initial_seed {kept[0]} and {kept[1]}")
print(f"seed -1 and {2**32 - 1}: same noise {wrapped}")
print(f"(epoch << 32) + step: {len(draws)} different draws in 5 epochs")
if torch.equal(noise(1), noise(2)) or not (same and wrapped and len(draws) == 1):
    raise SystemExit("no longer seen: all bits of a seed count")
PYTHON
