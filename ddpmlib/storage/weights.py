"""Weights in a file: safetensors, with all that rebuilds their network written inside."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.paths import fetch

# Put before every name by wrappers: for several GPUs, by torch.compile, or by both.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


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
    """Description and weights, as `save_weights` wrote them; names of a wrapped network are cured.

    Raises FileNotFoundError: no such file; ValueError: not weights of this kind and project, or
    some that are NaN or infinite.
    """
    from safetensors import SafetensorError, safe_open

    path = fetch(path)
    try:
        with safe_open(path, "pt") as tensors:
            metadata = tensors.metadata() or {}
            names = tensors.keys()
            state = {_WRAPPERS.sub("", name): tensors.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    if kind not in metadata:
        raise ValueError(f"{path} has no {kind!r} in its metadata: not written by this project")
    check_finite(state, path)
    try:
        return json.loads(metadata[kind]), state
    except ValueError as error:
        raise unfit(path, error) from error


def check_finite(state: dict[str, torch.Tensor], path: str | Path) -> None:
    """Raise ValueError naming the first tensor with values that are NaN or infinite, and the file.

    A training that diverged leaves them, and one NaN makes all of a sample NaN.
    """
    for name, values in state.items():
        if wrong := values.numel() - int(values.isfinite().sum()):
            of = f"{wrong} of {values.numel()} values of {name} in {path}"
            raise ValueError(f"{of} are NaN or infinite; needed: weights from before it diverged")


def build_like(
    state: dict[str, torch.Tensor], build: Callable[[], torch.nn.Module]
) -> torch.nn.Module:
    """The network of `build` with these weights.

    Names and shapes are compared before it takes memory, so that a file which claims to be of a
    huge network allocates no more than it holds.

    Raises:
        ValueError: naming the first tensor that is missing, unknown or of another shape.
    """
    with _WithoutMemory():
        needed = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    for name in needed | found:
        if needed.get(name) != found.get(name):
            have = f"of shape {found[name]}" if name in found else "missing"
            wanted = f"{needed[name]}" if name in needed else "no such tensor"
            raise ValueError(f"{name} is {have}; needed: {wanted}")
    network = build()
    network.load_state_dict(state)
    return network


class _WithoutMemory(TorchFunctionMode):
    """Layers get weights on the meta device, of a shape but without content.

    Under `torch.device("meta")` all else is computed there too, which torch imports for seconds.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.nn.init.normal_:
            return kwargs["tensor"]
        if function in (torch.empty, torch.randn):
            return torch.empty(*args, **kwargs | {"device": "meta"})
        return function(*args, **kwargs)


def unfit(path: str | Path, error: Exception) -> ValueError:
    """For weights of this project whose description or shapes do not fit."""
    reason = " ".join(str(error).split())[:200]
    return ValueError(f"{path} does not fit this version of the project: {reason}")
