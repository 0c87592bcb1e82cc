#!/usr/bin/env bash
# One expects `librosa.feature.inverse.mel_to_stft` to need memory in proportion to its result.
# Its non-negative least squares run L-BFGS-B with as many stored corrections as there are
# frequency bins, on blocks of frames that are bounded by the size of the mel-spectrogram, not of
# the workspace, which holds about 2 x bins^2 x frames doubles. For 4 s at 16 kHz a result of 0.26
# MB takes 281 MB, and twice the n_fft four times as much (1.1 GB at n_fft 1024). It matters
# because by the same formula n_fft 2048, usual at 22 kHz and above, takes 4 GB for 4 s. The
# project starts from a pseudo-inverse and makes multiplicative updates, which need no workspace.
# librosa 0.11.0, scipy 1.17.1
#
# Seen: n_fft 256: result 0.13 MB, peak 73 MB, 567 times as much
#       n_fft 512: result 0.26 MB, peak 281 MB, 1090 times as much
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet librosa==0.11.0 scipy==1.17.1 numpy==2.4.6 numba==0.68.1
venv/bin/python - <<'PYTHON'
import tracemalloc

import librosa
import numpy as np
import scipy

RATE = 16_000
noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
print("librosa", librosa.__version__, "scipy", scipy.__version__)
peaks, ratios = [], []
for n_fft in (256, 512):
    settings = {"sr": RATE, "n_fft": n_fft}
    mel = librosa.feature.melspectrogram(y=noise, hop_length=256, n_mels=40, **settings)
    tracemalloc.start()
    result = librosa.feature.inverse.mel_to_stft(mel, **settings)
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    ratios.append(peaks[-1] / result.nbytes)
    print(f"n_fft {n_fft}: result {result.nbytes / 1e6:.2f} MB, peak {peaks[-1] / 1e6:.0f} MB, "
          f"{ratios[-1]:.0f} times as much")
if not (ratios[1] > 300 and peaks[1] > 3 * peaks[0]):
    raise SystemExit("no longer seen: the workspace does not grow with the square of n_fft")
PYTHON
