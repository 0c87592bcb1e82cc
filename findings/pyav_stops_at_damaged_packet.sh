#!/usr/bin/env bash
# One expects PyAV's `container.decode()` to do what the ffmpeg program does with the same file. A
# packet that cannot be decoded (a damaged frame, the joint of two MP3 files) makes it raise
# InvalidDataError, and the generator is finished: what follows is never seen. The ffmpeg program
# reports the packet and goes on. It matters because one damaged frame loses the rest of a
# recording if the error is caught around the loop. Decoding packet by packet, as
# `packet.decode()` in a loop over `container.demux()`, goes on as the program does; the project
# does that.
# av 18.1.0
#
# Seen: decode(): 3.0 s and InvalidDataError; packet by packet: 5.0 s, 1 packet refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
from pathlib import Path

import av
import numpy as np

RATE = 44_100


def mp3(path, seconds):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(seconds * RATE) / RATE)
    frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
    frame.sample_rate = RATE
    with av.open(path, "w") as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path).read_bytes()


Path("joined.mp3").write_bytes(mp3("a.mp3", 3) + mp3("b.mp3", 2))
print("av", av.__version__)

samples, error = 0, None
with av.open("joined.mp3") as container:
    try:
        for frame in container.decode(audio=0):
            samples += frame.samples
    except av.FFmpegError as raised:
        error = type(raised).__name__
whole, refused = 0, 0
with av.open("joined.mp3") as container:
    for packet in container.demux(audio=0):
        try:
            whole += sum(frame.samples for frame in packet.decode())
        except av.FFmpegError:
            refused += 1
print(f"decode(): {samples / RATE:.1f} s and {error}; "
      f"packet by packet: {whole / RATE:.1f} s, {refused} packet refused")
if not (error and samples < 3.2 * RATE and whole > 4.9 * RATE):
    raise SystemExit("no longer seen: decode() goes on")
PYTHON
