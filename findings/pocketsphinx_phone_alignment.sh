#!/usr/bin/env bash
# Forced alignment to phones takes two passes: words, then `set_alignment()` and the same samples
# again. One expects the second to succeed wherever the first found all words. By default the first
# pass ends with a search for the best path (bestpath=True), which puts <s> and </s> of one frame
# (10 ms) over the first and last word; where words reach to the ends of the recording the second
# pass may then raise RuntimeError("Failed to stop utterance processing"). It matters because wider
# beams, the obvious cure, do not help, and which recordings are lost looks like chance; 0.1 s of
# zeros at both ends helps these. The project aligns nothing yet; whoever does wants bestpath=False.
# pocketsphinx 5.1.1, av 18.1.0
#
# Seen: bestpath=True: 3 of 4 failed in the second pass
#       bestpath=False: 0 of 4 failed in the second pass
set -euo pipefail
folder=/usr/share/asterisk/sounds/en_US_f_Allison
if [[ ! -f $folder/confbridge-unlocked.g722 ]]; then
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
from importlib.metadata import version

import av
from pocketsphinx import Decoder

TEXTS = {
    "confbridge-begin-leader": "the conference will begin when the leader arrives",
    "confbridge-lock-in": "to lock the conference",
    "confbridge-unlocked": "the conference is now unlocked",
    "conf-now-recording": "the conference is now being recorded",
}


def run(decoder, name):
    with av.open(f"{sys.argv[1]}/{name}.g722", format="g722") as container:
        samples = b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()


print("pocketsphinx", version("pocketsphinx"))
failed = {True: 0, False: 0}
for bestpath in failed:
    decoder = Decoder(lm=None, bestpath=bestpath, loglevel="FATAL")
    for name, text in TEXTS.items():
        decoder.set_align_text(text)
        run(decoder, name)
        words = [(one.word, one.start_frame, one.end_frame) for one in decoder.seg()]
        decoder.set_alignment()
        try:
            run(decoder, name)
        except RuntimeError as error:
            failed[bestpath] += 1
            print(f"{text}: {error}; first pass: {words[0]} {words[1]} ... {words[-1]}")
    print(f"bestpath={bestpath}: {failed[bestpath]} of {len(TEXTS)} failed in the second pass")
if not failed[True] or failed[False]:
    raise SystemExit("no longer seen: bestpath=True fails where bestpath=False does not")
PYTHON
