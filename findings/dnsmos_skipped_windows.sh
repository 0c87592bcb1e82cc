#!/usr/bin/env bash
# DNSMOS rates 9.01 s at a time, and speechmos moves that window in steps of 1 s; one expects the
# score of a long clip to be the mean over all windows. Window i ends at int((i + 9.01) * 16000):
# for i = 7 to 23 rounding makes it one sample too short, and a window that is too short is skipped
# without a warning. So a clip of 17 to 33 s has the score of its first 15.01 seconds: speech
# followed by 17 s of loud noise scores what speech alone scores. It matters because long recordings
# are rated by their beginning. Clips up to 16 s, or one window (144,160 samples) per call, are
# safe. The project makes one call for each window and takes the mean (`metrics/speech.py`).
# speechmos 0.0.1.1 (imports onnxruntime and librosa, and declares neither), onnxruntime 1.32.0
#
# Seen: 15.01 s of speech, then 16.99 s of noise: 3.426
#       32 s of speech: 3.426; its first 16 s: 3.426
#       mean over all 23 windows of the first, one call each: 2.400
set -euo pipefail
recording=/usr/share/asterisk/sounds/en_US_f_Allison/vm-options.g722
if [[ ! -f $recording ]]; then
    echo "needed: $recording (Debian package asterisk-core-sounds-en-g722)" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet speechmos==0.0.1.1 onnxruntime==1.32.0 librosa==0.11.0 \
    requests==2.34.2 av==18.1.0 numpy==2.4.6
venv/bin/python - "$recording" <<'PYTHON'
import sys
from importlib.metadata import requires, version

import av
import numpy as np
from speechmos import dnsmos

RATE, WINDOW, SPEECH = 16_000, 144_160, int(15.01 * 16_000)
with av.open(sys.argv[1], format="g722") as container:
    frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
spoken = np.resize(np.concatenate(frames) / 2**15, 32 * RATE)
noise = np.random.default_rng(0).normal(0, 0.1, len(spoken) - SPEECH).clip(-1, 1)
mixed = np.concatenate([spoken[:SPEECH], noise])


def score(clip):
    return float(dnsmos.run(clip, sr=RATE)["ovrl_mos"])


print("speechmos", version("speechmos"), "declares the requirements", requires("speechmos"))
speech, first, both = score(spoken), score(spoken[: 16 * RATE]), score(mixed)
windows = [score(mixed[i * RATE : i * RATE + WINDOW]) for i in range(23)]
print(f"15.01 s of speech, then 16.99 s of noise: {both:.3f}")
print(f"32 s of speech: {speech:.3f}; its first 16 s: {first:.3f}")
print(f"mean over all {len(windows)} windows of the first, one call each: {np.mean(windows):.3f}")
if not (both == speech == first and np.mean(windows) < both - 0.5):
    raise SystemExit("no longer seen: what follows the first 15 s changes the score")
PYTHON
