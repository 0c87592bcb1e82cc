"""Many jobs in several processes: one that is killed is named, the others are done. And in threads
that leave the cores to each other."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from joblib import delayed

from ddpmlib.storage.parallel import check_workers, in_processes, in_threads


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


@pytest.mark.parametrize(
    ("workers", "jobs", "fit"), [(9999, 8, 8), (2, 8, 2), (-1, 8, -1), (3, 0, 1)]
)
def test_there_are_no_more_workers_than_jobs(workers, jobs, fit):
    assert check_workers(workers, jobs) == fit


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is 0; needed: at least 1, or -1"):
        list(in_processes(delayed(str), [1], 0, str))


@pytest.fixture
def two_cores():
    """Two threads for torch, whatever else runs these tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fails", [False, True])
def test_jobs_in_threads_have_one_core_each_and_leave_all_to_what_follows(fails, two_cores):
    meeting = threading.Barrier(2, timeout=60)  # passed only if both are at work at once

    def job(number: int) -> tuple:
        meeting.wait()
        if fails:
            raise ZeroDivisionError
        return 2 * number, torch.get_num_threads()

    if fails:
        with pytest.raises(ZeroDivisionError):
            in_threads(job, range(2))
    else:
        assert in_threads(job, range(2)) == [(0, 1), (2, 1)]
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
