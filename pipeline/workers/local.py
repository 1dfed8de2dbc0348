"""Processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any

from pipeline.runtime import usable_cores
from pipeline.workers.base import Crew, Work, Workers

FORKED = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)

# one process imports what the work needs and is forked for each worker: torch takes some seconds of a core, which
# three processes on two cores would spend three times
CLEAN = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)

_work: Work | None = None  # in a process of a crew, what it does


class Local(Workers):
    """Processes of this machine, as many as it has cores unless told otherwise; of one alone, this one.

    Args:
        count: processes; None for the usable cores.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or usable_cores()

    @contextmanager
    def crew(self, work: Work, *, forked: bool = False) -> Iterator[Crew]:
        """See :meth:`Workers.crew`; threads where processes cannot be forked safely."""
        if self.count == 1:
            yield _Here(work)
            return
        if forked and sys.platform != "linux":
            with ThreadPoolExecutor(self.count) as pool:
                yield _Threads(pool, work, self.count)
            return
        processes = _Processes(work, self.count, forked)
        try:
            yield processes
        except BaseException:
            processes.kill()  # half of a result is of no use, and may take minutes
            raise
        finally:
            processes.close()


class _Here(Crew):
    """This process."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def submit(self, shard: Any) -> "Future[Any]":
        answer: Future[Any] = Future()
        answer.set_result(self._work(shard))
        return answer


class _Threads(Crew):
    def __init__(self, pool: ThreadPoolExecutor, work: Work, count: int) -> None:
        super().__init__()
        self._pool, self._work, self.ahead = pool, work, 2 * count

    def submit(self, shard: Any) -> "Future[Any]":
        return self._pool.submit(self._work, shard)


class _Processes(Crew):
    """A pool, which is replaced as a whole when one of its processes is lost."""

    def __init__(self, work: Work, count: int, forked: bool) -> None:
        super().__init__()
        self.ahead = 2 * count
        self._work, self._count, self._context = work, count, FORKED if forked else CLEAN
        self._pool = self._opened()

    def submit(self, shard: Any) -> "Future[Any]":
        with warnings.catch_warnings():  # of threads that a fork leaves behind: none of them holds what is needed here
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._pool.submit(_do, shard)

    def renew(self) -> None:
        self.kill()
        self.close()
        self._pool = self._opened()

    def kill(self) -> None:
        for process in list((self._pool._processes or {}).values()):  # which the pool names from Python 3.14 on alone
            with suppress(ValueError):
                process.terminate()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _opened(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, self._context, _begin, (self._work,))


def _begin(work: Work) -> None:
    """What a process does first: it ends with the one that started it, and computes with one thread."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's, which all get, the other process takes care
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:  # a killed parent must leave no orphan behind
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _do(shard: Any) -> Any:
    assert _work is not None
    return _work(shard)
