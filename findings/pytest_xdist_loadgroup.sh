#!/usr/bin/env bash
# Tests marked with xdist_group("x") are sent to one worker by `--dist loadgroup`: so its help says,
# and so tests that share a costly fixture (a trained network, a JupyterLab) are kept together. With
# pytest 9.2 the marks have no effect, without a warning: xdist 3.8 appends "@x" to the private
# `_nodeid` of a test, which pytest no longer reads. A suite then trains twice, or finds nothing of
# what an earlier test of the group left, and only on some runs. With pytest 9.0 they work. The
# project keeps files together instead (`--dist loadfile`), which needs no mark.
# pytest 9.2.0, pytest-xdist 3.8.0
#
# Seen: pytest 9.2.0: 6 tests of one group ran on 2 workers
#       pytest 9.0.0: 6 tests of one group ran on 1 worker
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
cat > test_group.py <<'TEST'
import time

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("i", range(6))
def test_of_the_group(i):
    time.sleep(0.3)
TEST
workers() {
    venv/bin/pip install --quiet "pytest==$1" pytest-xdist==3.8.0
    venv/bin/python -m pytest -p no:cacheprovider -n 2 --dist loadgroup -v test_group.py > out.txt
    grep -o '^\[gw[01]\].*PASSED' out.txt | cut -c1-5 | sort -u | wc -l
}
now=$(workers 9.2.0)
before=$(workers 9.0.0)
echo "pytest 9.2.0, pytest-xdist 3.8.0: 6 tests of one group ran on $now workers"
echo "pytest 9.0.0, pytest-xdist 3.8.0: 6 tests of one group ran on $before worker"
[[ $now == 2 && $before == 1 ]] || { echo "the behaviour has changed" >&2; exit 1; }
