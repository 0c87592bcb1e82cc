"""Weights as their difference from those of a file beside them, in 4 bits each: a student is near
its teacher, and such a file takes a quarter of one in float16."""

import torch
from torch.nn import functional

BLOCK = 64  # weights that share a scale, as in Dettmers et al. 2023 ("QLoRA"), section 3
MOST = 7  # times the scale, up and down
SCALES = ".scales"  # behind the name of a tensor

State = dict[str, torch.Tensor]


def difference(state: State, base: State) -> State:
    """What `add_difference` needs to make the weights of base: for each tensor that differs its
    levels, two in a byte, and the scale of each block.

    Raises:
        ValueError: the tensors of both have other names or shapes.
    """
    if (ours := _shapes(state)) != (theirs := _shapes(base)):
        other = sorted(dict(ours.items() ^ theirs.items()))[0]
        raise ValueError(
            f"{other} is of shape {ours.get(other)}; needed: {theirs.get(other)}, that of the base"
        )
    found = {}
    for name, values in state.items():
        change = (values.float() - base[name].float()).flatten()
        if change.any():
            blocks = functional.pad(change, (0, -len(change) % BLOCK)).view(-1, BLOCK)
            scales = (blocks.abs().amax(dim=1) / MOST).half()
            levels = (blocks / scales.float()[:, None]).nan_to_num().round().clamp(-MOST, MOST)
            upper, lower = (levels + MOST + 1).to(torch.uint8).view(-1, 2).unbind(dim=1)
            found |= {name: upper * 16 + lower, name + SCALES: scales}
    return found


def add_difference(base: State, found: State) -> State:
    """The weights, float32.

    Raises:
        KeyError, RuntimeError: the base has other tensors.
    """
    state = {name: values.float() for name, values in base.items()}
    for name, packed in found.items():
        if not name.endswith(SCALES):
            levels = torch.stack([packed // 16, packed % 16], dim=1).view(-1, BLOCK)
            change = (levels.float() - MOST - 1) * found[name + SCALES].float()[:, None]
            values = state[name]
            state[name] = values + change.flatten()[: values.numel()].view_as(values)
    return state


def _shapes(state: State) -> dict[str, tuple]:
    return {name: tuple(values.shape) for name, values in state.items()}
