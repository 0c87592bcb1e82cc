"""Weights in a file: safetensors, with all that rebuilds their network written inside."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

from ddpmlib.storage.atomic import atomic_write
from ddpmlib.storage.difference import add_difference, difference
from ddpmlib.storage.paths import fetch

BASE, SHA = "base", "sha256 of the base"  # metadata of a file that holds a difference
# Put before every name by wrappers: for several GPUs, by torch.compile, or by both.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


def save_weights(
    path: str | Path,
    network: torch.nn.Module,
    kind: str,
    description: dict,
    half: bool = False,
    base: str | Path | None = None,
) -> None:
    """Write the weights of a network and, as metadata `kind`, its description; whole or not at all.

    Args:
        half: in float16, half the size: enough to sample from, not to resume a training exactly.
        base: a file of weights that these are near, to write their `difference` alone; both files
            must keep their places beside each other.

    Raises:
        ValueError: the weights of base have other names or shapes.
    """
    from safetensors.torch import save

    state, metadata = network.state_dict(), {kind: json.dumps(description)}
    if base:
        state = difference(state, _read(base)[1])
        metadata |= {BASE: os.path.relpath(base, Path(path).parent), SHA: _sha256(base)}
    state = {n: (v.half() if half and not base else v).contiguous() for n, v in state.items()}
    content = save(state, metadata)
    with atomic_write(path) as temporary:  # in Python: a full disk is an OSError that says so
        temporary.write_bytes(content)


def load_weights(path: str | Path, kind: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Description and weights, as `save_weights` wrote them; names of a wrapped network are cured.

    Raises:
        FileNotFoundError: no such file, or it holds a difference from one that is not there.
        ValueError: not weights of this kind and project, or some that are NaN or infinite.
    """
    metadata, state = _read(path := fetch(path))
    if kind not in metadata:
        raise ValueError(f"{path} has no {kind!r} in its metadata: not written by this project")
    check_finite(state, path)
    try:
        if beside := metadata.get(BASE):
            state = add_difference(_base(path, path.parent / beside, metadata.get(SHA)), state)
        return json.loads(metadata[kind]), state
    except (ValueError, KeyError, RuntimeError) as error:
        raise unfit(path, error) from error


def _base(path: Path, base: Path, needed: str | None) -> dict[str, torch.Tensor]:
    """The weights that those of `path` differ from."""
    if not base.is_file():
        raise FileNotFoundError(f"{path} holds a difference from {base}, which does not exist")
    if (found := _sha256(base)) != needed:
        raise ValueError(f"SHA-256 of {base} is {found}; needed: {needed}")
    return _read(base)[1]


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as tensors:
            metadata = tensors.metadata() or {}
            names = tensors.keys()
            return metadata, {_WRAPPERS.sub("", n): tensors.get_tensor(n) for n in names}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def _sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
