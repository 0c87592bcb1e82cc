#!/usr/bin/env bash
# One expects the inversion of a mel-spectrogram to scale with it: a quieter sound gives quieter
# magnitudes, as exact as before. The non-negative least squares behind
# `librosa.feature.inverse.mel_to_stft` stop by scipy's absolute tolerance (pgtol 1e-5) of the
# gradient, which shrinks with the level, while the loss is also divided by the number of values. So
# a sound of ordinary level is not solved at all: the result is the clipped least-squares solution
# from which the solver starts. The same sound made louder is solved, nearly a thousand times as
# exactly, and takes fifteen times as long. It matters in every comparison of vocoders with
# `mel_to_audio`, whose quality and time are those of a level; the project's benchmark has a row for
# each.
# librosa 0.11.0, scipy 1.17.1
#
# Seen: 1 times the sound: mel error 13.128 %, 0.3 s
#       100 times the sound: mel error 0.014 %, 4.6 s
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet librosa==0.11.0 scipy==1.17.1 numpy==2.4.6 numba==0.68.1
venv/bin/python - <<'PYTHON'
import time

import librosa
import numpy as np
import scipy

RATE, LEVELS = 16_000, (1.0, 100.0)
seconds = np.arange(RATE) / RATE
# A voice of 120 Hz whose harmonics fall, in four syllables, and a little noise.
voice = sum(np.sin(2 * np.pi * 120 * k * seconds) / k for k in range(1, 40))
noise = np.random.default_rng(0).normal(0, 0.02, RATE)
sound = 0.05 * (voice * np.sin(4 * np.pi * seconds) ** 2 + noise)
options = {"sr": RATE, "n_fft": 1024}
print("librosa", librosa.__version__, "scipy", scipy.__version__)
errors = []
for level in LEVELS:
    mel = librosa.feature.melspectrogram(y=level * sound, hop_length=256, n_mels=64, **options)
    start = time.perf_counter()
    found = librosa.feature.inverse.mel_to_stft(mel, **options)
    taken = time.perf_counter() - start
    again = librosa.filters.mel(n_mels=64, **options) @ found**2
    errors.append(float(np.linalg.norm(again - mel) / np.linalg.norm(mel)))
    print(f"{level:g} times the sound: mel error {100 * errors[-1]:.3f} %, {taken:.1f} s")
if not errors[0] > 50 * errors[1]:
    raise SystemExit("no longer seen: the error does not depend on the level")
PYTHON
