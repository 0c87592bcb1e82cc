#!/usr/bin/env bash
# One expects papermill to leave alone what does not look like a number. `-p` passes everything
# that Python's int() or float() accept, and these accept underscores, leading zeros and words:
# LibriSpeech's utterance 84_121123 becomes the integer 84121123, speaker 007 becomes 7, a speaker
# called Nan becomes float('nan'). `-y` (and a file given by -f) go the other way: YAML 1.1 takes
# 1e-3 for text and 010 for the octal number 8, so one learning rate is a number with -p and a
# string with -y. It matters because ids of published corpora are digits, and the notebook goes on
# with another id. `-r` passes any text as it is. The project checks the types of parameters and
# names the one that is wrong.
# papermill 2.7.0, PyYAML 6.0.4
#
# Seen: -p utterance 84_121123: 84121123    -p speaker 007: 7    -p name Nan: float('nan')
#       -p rate 1e-3: 0.001    -y 'rate: 1e-3': "1e-3"    -y 'fold: 010': 8
#       -r utterance 84_121123: "84_121123"
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet papermill==2.7.0 PyYAML==6.0.4 nbformat==5.11.1 nbclient==0.11.0
cat > in.ipynb <<'JSON'
{"nbformat": 4, "nbformat_minor": 5,
 "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
 "cells": [{"cell_type": "code", "id": "a", "source": "", "outputs": [], "execution_count": null,
            "metadata": {"tags": ["parameters"]}}]}
JSON
venv/bin/pip freeze | grep -iE '^(papermill|pyyaml)='

check() { # expected, then papermill's options: what papermill writes into the notebook
    local expected=$1 found
    shift
    venv/bin/papermill --prepare-only --no-progress-bar --log-level ERROR in.ipynb out.ipynb "$@"
    found=$(venv/bin/python -c "
import json
written = ''.join(json.load(open('out.ipynb'))['cells'][1]['source'])
print(written.split(' = ')[1].strip())")
    echo "$*: $found"
    if [[ $found != "$expected" ]]; then
        echo "no longer seen: $expected" >&2
        return 1
    fi
}

check 84121123 -p utterance 84_121123
check 7 -p speaker 007
check "float('nan')" -p name Nan
check 0.001 -p rate 1e-3
check '"1e-3"' -y 'rate: 1e-3'
check 8 -y 'fold: 010'
check '"84_121123"' -r utterance 84_121123
