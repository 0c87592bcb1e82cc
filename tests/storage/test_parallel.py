"""Many jobs in several processes: one that is killed is named, the others are done."""

import os
import signal

import pytest
from joblib import delayed

from ddpmlib.storage.parallel import in_processes


def doubled_or_killed(number: int, kills: set[int], folder) -> int:
    with (folder / str(number)).open("a") as stream:
        stream.write("x")
    if number in kills:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


@pytest.mark.parametrize("kills", [set(), {7}, {0, 11, 39}])
def test_a_killed_process_costs_one_result(kills, tmp_path):
    def job(number):
        return delayed(doubled_or_killed)(number, kills, tmp_path)

    results = sorted(in_processes(job, range(40), 2, lambda number: -number - 1))
    assert results == sorted(-n - 1 if n in kills else 2 * n for n in range(40))
    tries = {n: len((tmp_path / str(n)).read_text()) for n in range(40)}
    assert max(tries.values()) <= 2  # with others, then alone


def test_an_error_of_a_job_is_raised(tmp_path):
    def job(number):
        return delayed(divmod)(1, number)

    with pytest.raises(ZeroDivisionError):
        list(in_processes(job, [1, 0, 2], 2, str))
