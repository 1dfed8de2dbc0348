"""Work in threads whose results come in the order of the jobs."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Job], Result], jobs: Iterator[Job], ahead: int
) -> Iterator[Result]:
    """Results of ``work`` for each job, with up to ``ahead`` jobs in work or waiting to be taken.

    Unlike ``pool.map``, it asks for the next job when a result was taken, so that jobs may be endless, and may depend
    on what came before.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        while True:
            while len(waiting) < ahead:
                try:
                    waiting.append(pool.submit(work, next(jobs)))
                except StopIteration:
                    break
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
