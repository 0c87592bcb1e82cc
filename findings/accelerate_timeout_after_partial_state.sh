#!/usr/bin/env bash
# One expects `Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=...)])` to make processes wait
# that long for each other, or to say that it cannot. If any code has asked for a `PartialState()` before,
# as one does to let the main process download first, the group of processes exists already, with 30
# minutes, and the other timeout is dropped without a word: a run ends half an hour into whatever the
# main process does alone, such as sampling or an upload. The project gives its timeout to `PartialState`,
# too, which passes it on to whatever group it opens.
# accelerate 1.15.0, torch 2.13.0
#
# Seen: an Accelerator that asked for two hours, first of its process: 2:00:00
#       an Accelerator that asked for two hours, after PartialState(): 0:30:00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 accelerate==1.15.0
cat > timeouts.py <<'PYTHON'
import os
import sys
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs, PartialState

order, expected = sys.argv[1:]
if order == "after PartialState()":
    PartialState(cpu=True)
asked = InitProcessGroupKwargs(timeout=timedelta(hours=2))
accelerator = Accelerator(cpu=True, kwargs_handlers=[asked])
group = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))
found = str(group.options._timeout)
if accelerator.is_main_process:
    print(f"an Accelerator that asked for two hours, {order}: {found}", flush=True)
accelerator.wait_for_everyone()
os._exit(found != expected)
PYTHON
port() {
    venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
two_processes() {
    export MASTER_ADDR=127.0.0.1 MASTER_PORT WORLD_SIZE=2 OMP_NUM_THREADS=1
    MASTER_PORT=$(port)
    RANK=1 LOCAL_RANK=1 venv/bin/python timeouts.py "$@" &
    RANK=0 LOCAL_RANK=0 venv/bin/python timeouts.py "$@"
    wait $!
}
two_processes "first of its process" 2:00:00
two_processes "after PartialState()" 0:30:00
