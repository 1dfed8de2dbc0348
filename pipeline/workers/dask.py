"""Workers of a Dask cluster; Dask itself gives what a lost worker had in work to another, three times."""

import asyncio
import logging
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.runtime import usable_cores
from pipeline.workers import visiting
from pipeline.workers.base import PATIENCE
from pipeline.workers.cluster import SECONDS_TO_ANSWER, Cluster, Visitors
from pipeline.workers.visiting import Outcome, Visit

if TYPE_CHECKING:
    from distributed import Client


class Dask(Cluster):
    """See :class:`pipeline.workers.cluster.Cluster`."""

    engine = "dask"
    _client: "Client"

    def connect(self) -> None:
        """See :meth:`Cluster.connect`."""
        import distributed

        self._exits = ExitStack()
        if self._address:
            self.reach()
        try:
            if self._address:
                with ThreadPoolExecutor(1) as aside:  # where no loop runs, as one may here
                    aside.submit(asyncio.run, _greeted(self._address)).result()
            place = self._address or self._started()
            self._client = distributed.Client(place, timeout=SECONDS_TO_ANSWER, set_as_default=False)
            self._exits.callback(self._client.close)
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, RuntimeError, TimeoutError) as error:
            raise self.unreachable(error) from None
        threads = sum(worker["nthreads"] for worker in self._there().values())
        self.count = min(self._wanted or threads, threads)

    def disconnect(self) -> None:
        """See :meth:`Cluster.disconnect`."""
        if hasattr(self, "_exits"):
            self._exits.close()

    def look(self, visit: Visit) -> list[Outcome]:
        """See :meth:`Cluster.look`."""
        found = self._client.run(visiting.look, visit, on_error="return")
        return [each if isinstance(each, Outcome) else Outcome(None, self.no_worker(each)) for each in found.values()]

    def present(self) -> int:
        """See :meth:`Cluster.present`."""
        return len(self._there()) if self._client.status == "running" else 0

    @contextmanager
    def opened(self, visit: Visit) -> Iterator[Visitors]:
        """See :meth:`Cluster.opened`."""
        pool = self._client.get_executor(pure=False)
        try:
            yield _Crew(self, visit, pool)
        finally:
            pool.shutdown(wait=False)  # which cancels what is in work

    def _started(self) -> Any:
        import distributed

        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # of a cluster that nobody else sees
        count = self._wanted or usable_cores()
        self._exits.enter_context(_environment_as_it_was())
        return self._exits.enter_context(
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        )

    def _there(self) -> dict[str, Any]:
        return self._client.scheduler_info(n_workers=-1)["workers"]


class _Crew(Visitors):
    def __init__(self, cluster: Dask, visit: Visit, pool: Any) -> None:
        from distributed import KilledWorker

        super().__init__(cluster, (KilledWorker, CancelledError))
        self._visit, self._pool = visit, pool

    def submit(self, shard: Any) -> "Future[Outcome]":
        return self._pool.submit(visiting.do, self._visit, shard)


async def _greeted(address: str) -> None:
    """Looks whether a scheduler speaks there: the client would wait for ever for something that only listens.

    Raises:
        OSError, TimeoutError: none does.
    """
    from distributed.comm import connect
    from distributed.security import Security

    found = connect(address, SECONDS_TO_ANSWER, **Security().get_connection_args("client"))
    try:
        comm = await asyncio.wait_for(found, SECONDS_TO_ANSWER)
    except TimeoutError:
        raise TimeoutError(f"nothing was said in {SECONDS_TO_ANSWER:.0f} seconds") from None
    await comm.close()


@contextmanager
def _environment_as_it_was() -> Iterator[None]:
    """Takes back in the end what Dask puts into this process's environment for its workers, such as one thread each.

    Within, they and who takes their place still get it.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
