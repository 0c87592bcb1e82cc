#!/usr/bin/env bash
# One expects `AudioResampler(format, rate=44100)` to return frames of 44,100 Hz whatever comes
# in. It decides at the first frame: where that already has the wanted format and rate, every
# later frame is handed on as it is, also one of another rate, and no error is raised. (With a
# format that needs conversion the same frame raises ValueError.) An ADTS stream may change its
# rate between two frames (joined AAC files, radio streams); `stream.rate` keeps the first rate.
# It matters because the second part, taken for 44,100 Hz, is 2.76 times too short and an octave
# and a half too high; only `frame.sample_rate` tells. The project converts each run of frames of
# one rate, layout and format by itself.
# av 18.1.0
#
# Seen: asked for 44100 Hz in fltp: 134144 samples of 44100 Hz, 49152 samples of 16000 Hz
#       asked for 44100 Hz in flt: ValueError: Frame does not match AudioResampler setup.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
from collections import Counter
from pathlib import Path

import av
import numpy as np


def adts(path, rate):
    """Three seconds of a tone as AAC in ADTS frames."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate)
    frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
    frame.sample_rate = rate
    with av.open(path, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path).read_bytes()


def resampled(sample_format):
    """Samples per rate that come out, and the error if one is raised."""
    samples, error = Counter(), ""
    with av.open("joined.aac") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format=sample_format, rate=44_100)
        try:
            for frame in container.decode(stream):
                for out in resampler.resample(frame):
                    samples[out.sample_rate] += out.samples
        except ValueError as raised:
            error = f"ValueError: {raised}"
    return samples, error


Path("joined.aac").write_bytes(adts("a.aac", 44_100) + adts("b.aac", 16_000))
print("av", av.__version__, av.library_versions["libswresample"])
planar, packed = resampled("fltp"), resampled("flt")
passed = ", ".join(f"{count} samples of {rate} Hz" for rate, count in planar[0].items())
print("asked for 44100 Hz in fltp:", passed)
print("asked for 44100 Hz in flt:", packed[1])
if not (planar[0][16_000] and not planar[1] and packed[1]):
    raise SystemExit("no longer seen: the resampler checks or converts every frame")
PYTHON
