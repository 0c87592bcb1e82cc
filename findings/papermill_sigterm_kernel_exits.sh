#!/usr/bin/env bash
# One expects papermill that is asked to end (SIGTERM: a batch scheduler, a machine that shuts down)
# to end its kernel in order, as Ctrl-C does, which interrupts the cell. papermill dies at once, and
# nothing is sent to the kernel. There a thread of ipykernel sees within a second that its parent is
# gone, and calls os._exit: no signal, no exception, no `finally`, no atexit. It matters for every
# long cell that keeps its work when it is interrupted: hours of training are lost. The project
# answers the kernel's own exit with a SIGTERM to the training, and lets it end behind its checkpoint.
# papermill 2.7.0, nbclient 0.11.0, ipykernel 7.4.0
#
# Seen: SIGINT to papermill: finally atexit
#       SIGTERM to papermill: , kernel gone after 2.3 s
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet papermill==2.7.0 nbclient==0.11.0 ipykernel==7.4.0
cat > in.ipynb <<'JSON'
{"nbformat": 4, "nbformat_minor": 5,
 "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
 "cells": [{"cell_type": "code", "id": "a", "outputs": [], "execution_count": null, "metadata": {},
            "source": "import atexit, os, pathlib, time\nnote = lambda word: pathlib.Path('left').open('a').write(word + ' ')\natexit.register(note, 'atexit')\npathlib.Path('pid').write_text(str(os.getpid()))\ntry:\n    time.sleep(60)\nfinally:\n    note('finally')"}]}
JSON
venv/bin/python -m ipykernel install --prefix "$work/venv" --name python3 >/dev/null

ended_by() { # a signal; what the cell left lies in the file "left", how long its kernel lived in "age"
    rm -f pid left && touch left
    # In Python, because bash lets its background jobs ignore Ctrl-C.
    venv/bin/python - "$1" <<'PYTHON'
import os, signal, subprocess, sys, time
from pathlib import Path

papermill = subprocess.Popen(
    ["venv/bin/papermill", "in.ipynb", "out.ipynb", "--no-progress-bar", "--log-level", "CRITICAL"],
    stderr=subprocess.DEVNULL,
)
pid = Path("pid")
while not (pid.exists() and pid.read_text()):
    time.sleep(0.1)
time.sleep(1)
papermill.send_signal(getattr(signal, sys.argv[1]))
begun, kernel = time.monotonic(), int(pid.read_text())
papermill.wait()
while time.monotonic() - begun < 20:
    try:
        os.kill(kernel, 0)
    except ProcessLookupError:
        break
    time.sleep(0.05)
Path("age").write_text(f"{time.monotonic() - begun:.1f}")
PYTHON
}

ended_by SIGINT
echo "SIGINT to papermill: $(cat left)"
grep -q finally left || { echo "no longer seen: finally after SIGINT" >&2; exit 1; }
ended_by SIGTERM
echo "SIGTERM to papermill: $(cat left), kernel gone after $(cat age) s"
[[ ! -s left ]] || { echo "no longer seen: nothing after SIGTERM" >&2; exit 1; }
[[ $(cat age) == [0-4].* ]] || { echo "no longer seen: a kernel that ends within seconds" >&2; exit 1; }
