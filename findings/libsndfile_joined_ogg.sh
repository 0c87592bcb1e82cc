#!/usr/bin/env bash
# One expects soundfile to read a file to its end, or to raise an error. Two Ogg files behind each
# other (`cat a.ogg b.ogg`, radio streams, recorders that start a new stream after a pause) are one
# valid file, a chain (RFC 3533): FFmpeg plays both. libsndfile reads the first and states its
# length as that of the file, without an error. With FLAC files (`cat a.flac b.flac`) it is the
# same. It matters because the second recording is lost in silence. The project looks for further
# beginnings in a file and decodes each part by itself.
# soundfile 0.14.0 (libsndfile 1.2.2), av 18.1.0
#
# Seen: ogg: soundfile.info 3.00 s, soundfile.read 3.00 s, PyAV 5.0 s of 5 s written
#       flac: soundfile.info 3.00 s, soundfile.read 3.00 s, PyAV 5.0 s of 5 s written
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PYTHON'
from pathlib import Path

import av
import numpy as np
import soundfile

RATE = 16_000

print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "av", av.__version__)
lost = []
for ending in ("ogg", "flac"):
    parts = []
    for seconds in (3, 2):
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(seconds * RATE) / RATE)
        soundfile.write(f"part.{ending}", tone, RATE)
        parts.append(Path(f"part.{ending}").read_bytes())
    name = f"joined.{ending}"
    Path(name).write_bytes(b"".join(parts))
    stated, read = soundfile.info(name).duration, len(soundfile.read(name)[0]) / RATE
    with av.open(name) as container:
        whole = sum(frame.samples for frame in container.decode(audio=0)) / RATE
    print(f"{ending}: soundfile.info {stated:.2f} s, soundfile.read {read:.2f} s, "
          f"PyAV {whole:.1f} s of 5 s written")
    lost.append(read < 3.1 and whole > 4.9)
if not all(lost):
    raise SystemExit("no longer seen: soundfile reads both")
PYTHON
