#!/usr/bin/env bash
# One expects the same samples to give the same phones, in one call of `process_raw` or in many.
# Even in one call they depend on `full_utt`: without it (the default) cepstral mean normalisation
# runs along with a live estimate, although all samples are there; with it the mean is that of the
# recording. A fifth to two fifths of the phones differ. It matters because phone statistics and
# word errors computed with the default are those of a live decoder. The project decodes each
# recording in one call with full_utt=True.
# pocketsphinx 5.1.1, av 18.1.0
#
# Seen: privacy-prompt: 33 phones, 21% differ (one call), 21% (calls of 64 ms)
#       vm-options: 154 phones, 20% differ (one call), 20% (calls of 64 ms)
#       conf-now-recording: 26 phones, 42% differ (one call), 42% (calls of 64 ms)
set -euo pipefail
folder=/usr/share/asterisk/sounds/en_US_f_Allison
if [[ ! -f $folder/vm-options.g722 ]]; then
    echo "needed: recordings in $folder (Debian package asterisk-core-sounds-en-g722)" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet pocketsphinx==5.1.1 av==18.1.0 numpy==2.4.6
venv/bin/python - "$folder" <<'PYTHON'
import sys
from difflib import SequenceMatcher
from importlib.metadata import version

import av
from pocketsphinx import Decoder, get_model_path

CHUNK = 2 * 1024  # bytes, 64 ms


def decode(name):
    with av.open(f"{sys.argv[1]}/{name}.g722", format="g722") as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))


def phones(samples, size, full_utt):
    model = get_model_path("en-us/en-us-phone.lm.bin")
    decoder = Decoder(allphone=model, lw=2.0, loglevel="FATAL")
    decoder.start_utt()
    for start in range(0, len(samples), size):
        decoder.process_raw(samples[start : start + size], full_utt=full_utt)
    decoder.end_utt()
    return [segment.word for segment in decoder.seg()]


print("pocketsphinx", version("pocketsphinx"))
shares = []
for name in ("privacy-prompt", "vm-options", "conf-now-recording"):
    samples = decode(name)
    full = phones(samples, len(samples), full_utt=True)
    live = [phones(samples, size, full_utt=False) for size in (len(samples), CHUNK)]
    one, many = (1 - SequenceMatcher(None, full, other).ratio() for other in live)
    print(f"{name}: {len(full)} phones, {one:.0%} differ (one call), {many:.0%} (calls of 64 ms)")
    shares.append(one)
if not min(shares) > 0.1:
    raise SystemExit("no longer seen: full_utt makes little difference")
PYTHON
