"""Pictures of any length from a model of one length: overlapping windows denoised together."""

import torch

from ddpmlib.cutting import starts
from ddpmlib.diffusion import Model

OVERLAP = 0.5  # of neighbouring windows


def over_windows(model: Model, width: int, batch_size: int = 16) -> Model:
    """A model of pictures of any width, from one of pictures of `width` frames.

    In every step each window is denoised alone, and where windows overlap, their predictions are
    averaged, most weight on the middle of a window (Bar-Tal et al. 2023, "MultiDiffusion", eq. 5).
    So neighbours agree before there is anything to hear. Two looks a frame: the cost grows with
    the length, and memory with the picture only.

    Args:
        model: sees at most `batch_size` windows (n, 1, height, width) at once.
    """
    hill = torch.hann_window(width + 2, periodic=False)[1:-1]  # nowhere zero

    def predict(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        first = starts(x_t.shape[-1], width, OVERLAP).tolist()
        weight = hill.to(x_t.device)
        total, weights = torch.zeros_like(x_t), torch.zeros_like(x_t[:1, :1, :1])
        for start in first:
            weights[..., start : start + width] += weight
        places = [(picture, start) for start in first for picture in range(len(x_t))]
        for begin in range(0, len(places), batch_size):
            part = places[begin : begin + batch_size]
            windows = torch.stack([x_t[i, :, :, s : s + width] for i, s in part])
            outputs = model(windows, time[[i for i, _ in part]]).float()
            for (i, s), output in zip(part, outputs, strict=True):
                total[i, :, :, s : s + width] += weight * output
        return total / weights

    return predict
