"""Rows of a condition, one for each mel-spectrogram: made of values, checked, dropped."""

import numpy as np
import torch

from ddpmlib.models.condition import (
    ClassCondition,
    ConditionSpec,
    EmbeddingCondition,
    PhoneCondition,
)
from ddpmlib.text.frames import FEATURES


def encode_conditions(spec: ConditionSpec, values, count: int) -> torch.Tensor:
    """A tensor (count, *spec.shape) of conditions.

    Args:
        values: one for all, or a list with one each: class names, texts or arrays; None is the
            null condition. Or a tensor of rows.

    Raises:
        ValueError: another number of them; or see `encode` of the spec, and `check_conditions`.
    """
    if isinstance(values, torch.Tensor):
        needed = (count, *spec.shape)
        if isinstance(spec, PhoneCondition) and values.ndim == 3:
            needed = (count, values.shape[1], FEATURES)  # of any width
        if values.shape != needed:
            raise ValueError(f"conditions of shape {tuple(values.shape)}; needed: {needed}")
        check_conditions(spec, values.numpy(force=True))
        return values
    values = values if isinstance(values, list) else [values] * count
    if len(values) != count:
        raise ValueError(f"{len(values)} conditions; needed: one for all, or {count}")
    rows = [None if value is None else spec.encode(value) for value in values]
    shapes = sorted({row.shape for row in rows if row is not None})
    if len(shapes) > 1:  # of phones, whose rows are as wide as the mel-spectrograms
        raise ValueError(f"conditions of shapes {shapes[0]} and {shapes[1]}; needed: one width")
    null = np.full(shapes[0] if shapes else spec.shape, spec.null, spec.dtype)
    rows = np.stack([null if row is None else row for row in rows]).astype(spec.dtype)
    check_conditions(spec, rows)
    return torch.from_numpy(rows)


def null_conditions(spec: ConditionSpec, count: int, n_frames: int) -> torch.Tensor:
    """Rows of the null condition, for mel-spectrograms of n_frames."""
    shape = (n_frames, FEATURES) if isinstance(spec, PhoneCondition) else spec.shape
    return torch.from_numpy(np.full((count, *shape), spec.null, spec.dtype))


def check_conditions(spec: ConditionSpec, rows: np.ndarray) -> None:
    """Raise ValueError for rows of another type, or with an index out of range."""
    if rows.dtype != spec.dtype:
        raise ValueError(f"conditions of type {rows.dtype}; needed: {np.dtype(spec.dtype)}")
    if isinstance(spec, EmbeddingCondition) or not rows.size:
        return
    if isinstance(spec, PhoneCondition):
        indices, most = np.nan_to_num(rows[..., 0]), len(spec.names)
        if not 0 <= indices.min() <= indices.max() <= most:
            found = f"{indices.min():g} to {indices.max():g}"
            raise ValueError(f"phones from {found}; needed: 0 to {most}")
        return
    largest = spec.n - 1 if isinstance(spec, ClassCondition) else len(spec.alphabet)
    if not spec.null <= rows.min() <= rows.max() <= largest:
        found, needed = f"{rows.min()} to {rows.max()}", f"{spec.null} to {largest}"
        raise ValueError(f"conditions from {found}; needed: {needed}")


def drop_conditions(
    spec: ConditionSpec, condition: torch.Tensor, which: torch.Tensor | bool
) -> torch.Tensor:
    """Conditions of which some, or all, become the null condition; `which` is (count,) or True."""
    which = torch.as_tensor(which, device=condition.device)
    return condition.masked_fill(which.view(-1, *[1] * len(spec.shape)), spec.null)
