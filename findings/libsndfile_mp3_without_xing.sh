#!/usr/bin/env bash
# One expects soundfile either to decode an MP3 file to its end or to raise an error. An MP3 of
# variable bitrate without a Xing frame (streams, old encoders, `-write_xing 0`) does not state
# its length: libsndfile estimates it from the bitrate of the first frames, stops there and
# reports no error. 2 s of noise followed by 20 s of a quiet tone come back as 3.5 s. Every frame
# is present: FFmpeg decodes all of them. It matters because the loss is silent and falls on
# speech that follows something loud. The project reads MP3 through FFmpeg.
# soundfile 0.14.0 (libsndfile 1.2.2), av 18.1.0
#
# Seen: soundfile.info: 3.55 s, soundfile.read: 3.55 s, PyAV: 22.10 s of 22.00 s written
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import av
import numpy as np
import soundfile

RATE = 16_000
noise = np.random.default_rng(0).normal(0, 0.3, 2 * RATE)
tone = 0.001 * np.sin(2 * np.pi * 200 * np.arange(20 * RATE) / RATE)
sound = np.concatenate([noise, tone]).astype(np.float32)[None]

with av.open("vbr.mp3", "w", options={"write_xing": "0"}) as container:
    variable = {"flags": "+qscale", "global_quality": str(4 * 118)}  # lame's -V 4
    stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", options=variable)
    frame = av.AudioFrame.from_ndarray(sound.clip(-1, 1), format="fltp", layout="mono")
    frame.sample_rate = RATE
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

with av.open("vbr.mp3") as container:
    whole = sum(frame.samples for frame in container.decode(audio=0)) / RATE
stated = soundfile.info("vbr.mp3").duration
read = len(soundfile.read("vbr.mp3")[0]) / RATE

print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "av", av.__version__)
print(f"soundfile.info: {stated:.2f} s, soundfile.read: {read:.2f} s, PyAV: {whole:.2f} s "
      f"of {sound.size / RATE:.2f} s written")
if not read < 0.5 * whole:
    raise SystemExit("no longer seen: soundfile reads the file to its end")
PYTHON
