"""Long-form sampling: mel-spectrograms of any length from a model of one length."""

from collections.abc import Callable

import torch

from ddpmlib.data.segments import window_starts
from ddpmlib.models.condition import ConditionSpec, EmbeddingCondition, TextCondition

OVERLAP = 0.5  # of neighbouring windows
Predict = Callable[..., torch.Tensor]  # (x_t, time, condition or None) -> prediction


def over_windows(
    predict: Predict, width: int, batch_size: int = 16, aligned: bool = False
) -> Predict:
    """A prediction for any number of frames, from one for `width` frames.

    In every step each window is denoised alone, and where windows overlap, their predictions are
    averaged, most weight on the middle of a window (MultiDiffusion: Bar-Tal et al. 2023, eq. 5), so
    neighbours agree long before the last step. Two evaluations a frame: cost grows with the length,
    memory only with the mel-spectrogram.

    Args:
        predict: called with at most `batch_size` windows (n, 1, n_mels, width) at once.
        aligned: the condition has a row for each frame, (batch, frames, ...), and is cut along.
    """
    hill = torch.hann_window(width + 2, periodic=False)[1:-1]  # nowhere zero

    def predicted(
        x_t: torch.Tensor, time: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        starts = window_starts(x_t.shape[-1], width, OVERLAP).tolist()
        weight = hill.to(x_t.device)
        total, weights = torch.zeros_like(x_t), torch.zeros_like(x_t[:1, :1, :1])
        for start in starts:
            weights[..., start : start + width] += weight
        if condition is not None:
            condition = condition.expand(len(x_t), *condition.shape[1:])
        places = [(item, start) for start in starts for item in range(len(x_t))]
        for begin in range(0, len(places), batch_size):
            part = places[begin : begin + batch_size]
            items = [item for item, _ in part]
            windows = torch.stack([x_t[i, :, :, s : s + width] for i, s in part])
            rows = None if condition is None else condition[items]
            if aligned and rows is not None:
                rows = torch.stack([condition[i, s : s + width] for i, s in part])
            outputs = predict(windows, time[items], rows).float()
            for (i, s), output in zip(part, outputs, strict=True):
                total[i, :, :, s : s + width] += weight * output
        return total / weights

    return predicted


def check_windows(
    spec: ConditionSpec | None, conditions: torch.Tensor | None, seconds: float, longest: float
) -> None:
    """Raise ValueError for a text, or another sequence, as each window would say all of it.

    Args:
        conditions: (batch, ...); the null condition says nothing, and fits any window.
        seconds, longest: of the sample, and of one window.
    """
    kinds = {TextCondition: "a text", EmbeddingCondition: "a sequence of vectors"}
    if conditions is None or not getattr(spec, "length", 0):
        return
    if ((conditions != spec.null) & ~conditions.isnan()).any():
        raise ValueError(
            f"seconds is {seconds:g} with {kinds[type(spec)]}; needed: at most {longest:.2f}, as "
            "in training, for each window of a longer sample would say all of it"
        )
