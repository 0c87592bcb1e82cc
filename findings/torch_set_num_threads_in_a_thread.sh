#!/usr/bin/env bash
# One expects `torch.set_num_threads(1)` in a worker thread to change that thread alone, or the whole
# process. It does neither: a thread that has used torch keeps its number, and every thread that uses
# torch later for the first time begins with 1, even the main one. So whoever gives each worker one core
# leaves one core to what comes after: a notebook whose first call is a vocoder in threads trains on one
# core from then on, and nothing says so. The project asks `torch.get_num_threads()` first, and sets it
# again when its threads are done.
# torch 2.13.0
#
# Seen: the main thread had asked before: 2, a later thread: 1
#       the main thread had not asked: 1, a later thread: 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > threads.py <<'PYTHON'
import sys
from threading import Thread

import torch


def in_a_thread(job):
    results = []
    thread = Thread(target=lambda: results.append(job()))
    thread.start()
    thread.join()
    return results[0]


if sys.argv[1] == "had asked before":
    assert torch.get_num_threads() == 2
in_a_thread(lambda: torch.set_num_threads(1))
main, later = torch.get_num_threads(), in_a_thread(torch.get_num_threads)
print(f"the main thread {sys.argv[1]}: {main}, a later thread: {later}")
assert [str(main), str(later)] == sys.argv[2:]
PYTHON
export OMP_NUM_THREADS=2
venv/bin/python threads.py "had asked before" 2 1
venv/bin/python threads.py "had not asked" 1 1
