#!/usr/bin/env bash
# One expects an optimizer whose parameters all lie on the CPU to have nothing to do with GPUs. Each
# step of Adam asks `torch.accelerator.current_accelerator(check_available=True)`, which initialises
# what it asks; SGD does not. It matters in a notebook that forks one process for each GPU: a parent
# that has asked CUDA once cannot fork any child that uses it, and a single step of a profile or a toy
# network on the CPU is such a question. The project profiles only where it trains in one process.
# torch 2.13.0
#
# Seen: steps of Adam: 3, questions about accelerators: 3
#       steps of SGD: 3, questions about accelerators: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import torch

asked, ask = [], torch.accelerator.current_accelerator


def spy(*args, **options):
    asked.append((args, options))
    return ask(*args, **options)


torch.accelerator.current_accelerator = spy
counts = {}
for kind in (torch.optim.Adam, torch.optim.SGD):
    network = torch.nn.Linear(2, 2)
    optimizer = kind(network.parameters(), lr=1e-3)
    asked.clear()
    for _ in range(3):
        network(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    counts[kind.__name__] = len(asked)
    print(f"steps of {kind.__name__}: 3, questions about accelerators: {len(asked)}")
assert counts["Adam"] >= 3, counts
assert counts["SGD"] == 0, counts
PYTHON
