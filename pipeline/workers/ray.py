"""Workers of a Ray cluster; Ray itself gives what a lost worker had in work to another, three times."""

import logging
import secrets
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from pipeline.runtime import usable_cores
from pipeline.workers import visiting
from pipeline.workers.base import LOSSES, PATIENCE
from pipeline.workers.cluster import Cluster, Visitors, quietly
from pipeline.workers.visiting import Outcome, Visit

STARTED: dict[str, Any] = {
    "include_dashboard": False,
    "object_store_memory": 256 << 20,  # bytes: a few results at a time
    "_node_ip_address": "127.0.0.1",
}
"""How a cluster is started here."""

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How HTTP/2 begins, which Ray speaks (RFC 9113, 3.4): the preface, and settings of which none is set."""


class Ray(Cluster):
    """See :class:`pipeline.workers.cluster.Cluster`."""

    engine = "ray"
    _joined = False

    def connect(self) -> None:
        """See :meth:`Cluster.connect`."""
        quietly(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0", RAY_DISABLE_IMPORT_WARNING="1")
        if self._address:
            self.reach(GREETING)
        else:  # a token that nobody else knows, where Ray would write one into the home folder
            quietly(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        import ray

        before = signal.getsignal(signal.SIGTERM)
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if self._address:
                ray.init(self._address, **quiet)
            else:
                ray.init("local", num_cpus=self._wanted or usable_cores(), **quiet, **STARTED)
        except (OSError, RuntimeError, ray.exceptions.RayError) as error:
            raise self.unreachable(error) from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray's would end this program without a word
        self._joined = True
        cores = int(ray.cluster_resources().get("CPU", 0))
        if not cores:
            raise self.unreachable("it has no CPUs")
        self.count = min(self._wanted or cores, cores)

    def disconnect(self) -> None:
        """See :meth:`Cluster.disconnect`."""
        if self._joined:
            import ray

            ray.shutdown()

    def look(self, visit: Visit) -> list[Outcome]:
        """See :meth:`Cluster.look`; one worker a machine answers for it."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = ray.remote(num_cpus=0)(visiting.look)
        asked = [
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(visit)
            for node in self._nodes()
        ]
        try:
            return ray.get(asked, timeout=PATIENCE)
        except ray.exceptions.GetTimeoutError:
            raise self.unreachable("its workers do not begin") from None
        except ray.exceptions.RayError as error:
            return [Outcome(None, self.no_worker(error))]

    def present(self) -> int:
        """See :meth:`Cluster.present`."""
        return len(self._nodes())

    @contextmanager
    def opened(self, visit: Visit) -> Iterator[Visitors]:
        """See :meth:`Cluster.opened`."""
        crew = _Crew(self, visit)
        try:
            yield crew
        finally:
            crew.cancel()

    def _nodes(self) -> list[Any]:
        import ray

        return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


class _Crew(Visitors):
    def __init__(self, cluster: Ray, visit: Visit) -> None:
        import ray

        super().__init__(cluster, (ray.exceptions.RayError,))
        self._visit = ray.put(visit)
        self._do = ray.remote(num_cpus=1, max_retries=LOSSES)(visiting.do)
        self._given: dict[Future[Outcome], Any] = {}

    def submit(self, shard: Any) -> "Future[Outcome]":
        reference = self._do.remote(self._visit, shard)
        answer: Future[Outcome] = reference.future()
        self._given[answer] = reference
        answer.add_done_callback(lambda done: self._given.pop(done, None))
        return answer

    def cancel(self) -> None:
        """Ends what is in work."""
        import ray

        for reference in list(self._given.values()):
            ray.cancel(reference, force=True)
