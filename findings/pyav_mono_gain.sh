#!/usr/bin/env bash
# One expects a downmix to mono to have one gain. FFmpeg's resampler (PyAV's AudioResampler) adds
# two channels with weights 0.5 when it writes integers, and 0.707 when it writes floats: it
# limits the sum to full scale only for integer output. So one 16-bit stereo file with the same
# signal of peak 0.90 in both channels becomes mono of peak 0.90 in s16 and 1.27 in fltp. It
# matters because levels (dBFS) and dB spectrograms shift by 3 dB with the sample format alone,
# and a peak above 1 is clipped later, when a WAV is written. The project decodes all channels and
# takes their mean itself.
# av 18.1.0
#
# Seen: stereo s16, peak 0.90 -> mono s16: peak 0.900
#       stereo s16, peak 0.90 -> mono fltp: peak 1.273 (3.01 dB more)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import av
import numpy as np

RATE, PEAK = 16_000, 0.9
tone = PEAK * 32_767 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
interleaved = np.repeat(tone, 2).astype(np.int16)[None]  # the same signal left and right


def mono_peak(sample_format):
    frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout="stereo")
    frame.sample_rate = RATE
    resampler = av.AudioResampler(format=sample_format, layout="mono", rate=RATE)
    frames = resampler.resample(frame) + resampler.resample(None)
    mono = np.concatenate([out.to_ndarray().ravel() for out in frames])
    return np.abs(mono.astype(np.float64)).max() / (32_767 if sample_format == "s16" else 1)


print("av", av.__version__, av.library_versions["libswresample"])
integers, floats = mono_peak("s16"), mono_peak("fltp")
print(f"stereo s16, peak {PEAK:.2f} -> mono s16: peak {integers:.3f}")
print(f"stereo s16, peak {PEAK:.2f} -> mono fltp: peak {floats:.3f} "
      f"({20 * np.log10(floats / integers):.2f} dB more)")
if not (abs(integers - PEAK) < 0.01 and floats > 1.2):
    raise SystemExit("no longer seen: both formats are mixed with one gain")
PYTHON
