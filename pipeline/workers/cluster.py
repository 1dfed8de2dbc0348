"""What the engines of clusters have in common."""

import os
import secrets
import socket
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pipeline.errors import BusyError, UserError
from pipeline.workers.base import Crew, Work, Workers
from pipeline.workers.visiting import Outcome, Visit

SECONDS_TO_ANSWER = 10.0
"""In which a cluster has to be reached."""


class Visitors(Crew):
    """Workers of a cluster that know one work.

    Args:
        cluster: whose workers they are.
        lost: what the engine raises when it gives a shard up.
    """

    def __init__(self, cluster: "Cluster", lost: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self.ahead = 2 * cluster.count
        self._cluster, self._fatal = cluster, lost

    def result(self, answer: "Future[Outcome]") -> Any:
        try:
            outcome = answer.result()
        except self._fatal as error:
            raise self._cluster.lost(error) from None
        return outcome.get()

    def look(self) -> None:
        if not self._cluster.present():
            raise self._cluster.unreachable("no worker is left")


class Cluster(Workers):
    """Workers of a cluster that is there, or of one on this machine that is started for the time of the context.

    Args:
        count: workers at most; None for all there are, or for the usable cores.
        address: of the cluster; None starts one.
        scratch: a folder of the project's, which every worker has to see.
    """

    engine = ""

    def __init__(self, count: int | None, address: str | None, scratch: Path) -> None:
        self._wanted, self._address = count, address
        self._mark = scratch.absolute() / "workers" / secrets.token_hex(8)

    def __enter__(self) -> Self:
        try:
            self.connect()
        except ImportError as error:
            raise UserError(
                f"workers.engine: {self.engine} needs a package that is not installed ({error}); "
                f"pip install 'augmint[{self.engine}]'"
            ) from None
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        self._mark.write_text(secrets.token_hex(16), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mark.unlink(missing_ok=True)
        self.disconnect()

    @property
    def elsewhere(self) -> bool:
        return True

    @property
    def named(self) -> str:
        """The engine and its place."""
        return f"{self.engine} at {self._address}" if self._address else self.engine

    @contextmanager
    def crew(self, work: Work, *, forked: bool = False) -> Iterator[Crew]:  # noqa: ARG002
        """See :meth:`Workers.crew`; nothing is given out before every worker was seen to fit."""
        visit = Visit.of(work, self._mark, self.named)
        try:
            for found in self.look(visit):
                found.get()
            with self.opened(visit) as crew:
                yield crew
        finally:
            visit.work.unlink(missing_ok=True)

    @abstractmethod
    def connect(self) -> None:
        """Finds or starts the cluster.

        Raises:
            ImportError: its package is not installed.
            BusyError: it does not answer.
        """

    @abstractmethod
    def disconnect(self) -> None:
        """Lets the cluster go; one that was started here ends."""

    @abstractmethod
    def look(self, visit: Visit) -> list[Outcome]:
        """What every worker that is there says to :func:`pipeline.workers.visiting.look`."""

    @abstractmethod
    def present(self) -> int:
        """Workers that are there now."""

    @abstractmethod
    def opened(self, visit: Visit) -> Any:
        """A context with the crew."""

    def unreachable(self, reason: object = "") -> BusyError:
        """What is said of a cluster that does not answer."""
        why = f" ({reason})" if str(reason) else ""
        return BusyError(
            f"workers.engine: {self.named} does not answer{why}; start it, or mend workers.address, and run the same "
            "command again: it goes on from what is finished"
        )

    def no_worker(self, error: BaseException) -> UserError:
        """What is said of workers that cannot even begin."""
        return UserError(
            f"{self.named}: a worker cannot begin ({shortened(error, -1)}); install the same augmint on every "
            "worker, or set workers.engine: local"
        )

    def lost(self, error: BaseException) -> BusyError:
        """What is said of a shard that the engine gives up, or of an engine that is gone."""
        return BusyError(
            f"{self.named}: {shortened(error)}; "
            "workers were lost over and over, most likely because memory ran out there; mend that and run the same "
            "command again: it goes on from what is finished"
        )

    def reach(self, greeting: bytes = b"") -> None:
        """Looks whether anything answers at the address: what libraries do without takes minutes.

        Args:
            greeting: to which whoever speaks the engine's protocol says something.

        Raises:
            BusyError: nothing does.
            UserError: it is no address.
        """
        address = self._address or ""
        try:
            place = urlsplit(address if "://" in address else f"//{address}")
            if not place.hostname or not place.port:
                raise ValueError
        except ValueError:
            raise UserError(
                f"workers.address: {address} is no address of a cluster, such as tcp://10.0.0.5:8786"
            ) from None
        try:
            with socket.create_connection((place.hostname, place.port), SECONDS_TO_ANSWER) as there:
                if greeting:
                    with suppress(ConnectionError):  # hung up, on plain words perhaps: somebody is there
                        there.sendall(greeting)
                        there.recv(1)
        except OSError as error:
            raise self.unreachable(error.strerror or error) from None


def shortened(error: BaseException, line: int = 0) -> str:
    """The kind of an error, and one line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[line]}" if lines else type(error).__name__


def quietly(**settings: str) -> None:
    """Sets what the environment does not say yet: no telemetry, no looking out."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)
