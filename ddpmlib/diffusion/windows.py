"""Long-form sampling: mel-spectrograms of any length from a model of one length."""

import torch

from ddpmlib.data.segments import window_starts
from ddpmlib.diffusion.process import Model

OVERLAP = 0.5  # of neighbouring windows


def over_windows(model: Model, width: int, batch_size: int = 16) -> Model:
    """A model of any number of frames, from one of `width` frames.

    In every step each window is denoised alone, and where windows overlap, their predictions are
    averaged, most weight on the middle of a window (MultiDiffusion: Bar-Tal et al. 2023, eq. 5), so
    neighbours agree long before the last step. Two evaluations a frame: cost grows with the length,
    memory only with the mel-spectrogram.

    Args:
        model: called with at most `batch_size` windows (n, 1, n_mels, width) at once.
    """
    hill = torch.hann_window(width + 2, periodic=False)[1:-1]  # nowhere zero

    def predict(x_t: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        starts = window_starts(x_t.shape[-1], width, OVERLAP).tolist()
        weight = hill.to(x_t.device)
        total, weights = torch.zeros_like(x_t), torch.zeros_like(x_t[:1, :1, :1])
        for start in starts:
            weights[..., start : start + width] += weight
        places = [(item, start) for start in starts for item in range(len(x_t))]
        for begin in range(0, len(places), batch_size):
            part = places[begin : begin + batch_size]
            windows = torch.stack([x_t[i, :, :, s : s + width] for i, s in part])
            outputs = model(windows, time[[i for i, _ in part]]).float()
            for (i, s), output in zip(part, outputs, strict=True):
                total[i, :, :, s : s + width] += weight * output
        return total / weights

    return predict
