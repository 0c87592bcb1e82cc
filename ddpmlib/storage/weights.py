"""Weights in a file: safetensors, with all that rebuilds their network written inside."""

import json
from pathlib import Path

import torch

from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import fetch


def save_weights(
    path: str | Path, network: torch.nn.Module, kind: str, description: dict, half: bool = False
) -> None:
    """Write the weights of a network and, as metadata `kind`, its description; whole or not at all.

    `half` is float16, half the size: enough to sample from, not to resume a training exactly.
    """
    from safetensors.torch import save

    state = network.state_dict().items()
    state = {name: (v.half() if half else v).contiguous() for name, v in state}
    content = save(state, {kind: json.dumps(description)})
    with atomic_write(path) as temporary:  # in Python: a full disk is an OSError that says so
        temporary.write_bytes(content)


def load_weights(path: str | Path, kind: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Description and weights, as `save_weights` wrote them.

    Raises FileNotFoundError: no such file; ValueError: not weights of this kind and project.
    """
    from safetensors import SafetensorError, safe_open

    path = fetch(path)
    try:
        with safe_open(path, "pt") as tensors:
            metadata = tensors.metadata() or {}
            state = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    if kind not in metadata:
        raise ValueError(f"{path} has no {kind!r} in its metadata: not written by this project")
    try:
        return json.loads(metadata[kind]), state
    except ValueError as error:
        raise unfit(path, error) from error


def unfit(path: str | Path, error: Exception) -> ValueError:
    """For weights of this project whose description or shapes do not fit."""
    reason = " ".join(str(error).split())[:200]
    return ValueError(f"{path} does not fit this version of the project: {reason}")
