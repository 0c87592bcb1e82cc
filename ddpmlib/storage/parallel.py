"""Many jobs in several processes, of which one may be killed without stopping the others; and in
threads that share the cores."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")
KILLED = "the process that worked on it was killed, most likely for want of memory"


def check_workers(workers: int, jobs: int) -> int:
    """As many as there are jobs at most, since all processes start at once; -1 is one per core.

    Raises:
        ValueError: 0.
    """
    if workers == 0:
        raise ValueError("workers is 0; needed: at least 1, or -1 for one per core")
    return min(workers, max(1, jobs))


def in_processes(
    job: Callable[[Item], tuple],
    items: Collection[Item],
    workers: int,
    killed: Callable[[Item], Result],
) -> Iterator[Result]:
    """Results of the jobs of all items, as they come.

    A process that is killed takes the others along, and nobody knows which item it had: each that
    was begun is tried once more, alone.

    Args:
        job: item -> what joblib's `delayed` makes of a call.
        workers: processes; -1 is one per core.
        killed: item -> result, of one whose process is killed when it is alone.
    """
    from joblib import Parallel, delayed

    workers = check_workers(workers, len(items))
    numbered, begun = enumerate(items), {}

    def call(number: int, item: Item) -> tuple:
        return delayed(_numbered)(number, *job(item))

    def jobs() -> Iterator[tuple]:
        for number, item in numbered:
            begun[number] = item
            yield call(number, item)

    while True:
        try:
            for number, result in Parallel(n_jobs=workers, return_as="generator_unordered")(jobs()):
                del begun[number]
                yield result
            return
        except BrokenProcessPool:
            suspects = dict(begun)
        begun.clear()
        for number, item in suspects.items():
            try:
                [(_, result)] = Parallel(n_jobs=2)([call(number, item)])  # 1 would be this process
            except BrokenProcessPool:
                result = killed(item)
            yield result


def _numbered(number: int, function: Callable, args: tuple, kwargs: dict) -> tuple:
    return number, function(*args, **kwargs)


def in_threads(job: Callable[[Item], Result], items: Collection[Item]) -> list[Result]:
    """Results of a job of torch for each item, one on each core: threads that torch would begin in
    a job are kept from it."""
    import torch

    cores = torch.get_num_threads()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)  # in this thread, and in any that begins from now on
        return job(item)

    try:
        with ThreadPoolExecutor(cores) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(cores)
