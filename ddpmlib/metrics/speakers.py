"""Who is speaking: a speaker classifier that knows nothing of the model it evaluates."""

from collections.abc import Sequence

import numpy as np

from ddpmlib.data.dataset import SpectrogramSet

LOUD = -0.6  # mean of a frame above which somebody speaks


class SpeakerClassifier:
    """Linear discriminant analysis of `band_statistics` of training mel-spectrograms.

    Fisher 1936, covariance shrunk as in Ledoit & Wolf 2004: distances count in units of how much a
    voice varies by itself, so that it is recognised however loud it is.

    Args:
        data: opened with a condition of speakers; those without one are left out.
    """

    def __init__(self, data: SpectrogramSet):
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        labels = data.conditions(range(len(data))).numpy()
        known = np.flatnonzero(labels >= 0)
        speakers = np.unique(labels[known])
        priors = [1 / len(speakers)] * len(speakers)  # however many recordings each has
        self.classes = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=priors)
        self.classes.fit(band_statistics([data[i].numpy() for i in known]), labels[known])

    def predict(self, mels: Sequence[np.ndarray]) -> np.ndarray:
        """Number of the speaker of each mel-spectrogram, (n,)."""
        return self.classes.predict(band_statistics(mels))

    def accuracy(self, mels: Sequence[np.ndarray], labels: Sequence[int]) -> float:
        """Share of the mel-spectrograms that are recognised as these speakers, 0...1."""
        return float((self.predict(mels) == np.asarray(labels)).mean())


def band_statistics(mels: Sequence[np.ndarray]) -> np.ndarray:
    """Mean and deviation of each band over the frames in which somebody speaks, (n, 2 n_mels)."""
    rows = []
    for mel in mels:
        bands, loud = _bands(mel)
        spoken = bands[:, loud] if loud.any() else bands
        rows.append(np.concatenate([spoken.mean(axis=1), spoken.std(axis=1)]))
    return np.stack(rows)


def spoken_seconds(mel: np.ndarray, frame_seconds: float) -> float:
    """When a mel-spectrogram falls silent."""
    spoken = np.flatnonzero(_bands(mel)[1])
    return float(spoken[-1] + 1) * frame_seconds if len(spoken) else 0.0


def _bands(mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n_mels, n_frames), and in which frames somebody speaks."""
    bands = np.asarray(mel, np.float32).reshape(mel.shape[-2:])
    return bands, bands.mean(axis=0) > LOUD
