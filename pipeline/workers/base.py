"""What every engine of workers gives: a crew that knows one work and is handed its shards."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple, Self

from pipeline.errors import BusyError

LOSSES = 3
"""Times in a row that workers die before anything comes of their work, until it is given up."""

PATIENCE = 60.0
"""Seconds in which an engine has to be there: at the beginning, and whenever nothing comes back."""

Work = Callable[[Any], Any]


class _Given(NamedTuple):
    """A shard in work."""

    number: int
    shard: Any
    answer: "Future[Any]"


class Crew(ABC):
    """Workers that all know one work.

    Attributes:
        ahead: shards to be given out in advance, so that no worker waits.
    """

    ahead = 1

    def __init__(self) -> None:
        self._losses = 0

    @abstractmethod
    def submit(self, shard: Any) -> "Future[Any]":
        """Gives a shard to a worker; of a lost worker the answer is :class:`concurrent.futures.BrokenExecutor`."""

    def result(self, answer: "Future[Any]") -> Any:
        """What a worker answered; an error of the work is raised as it is."""
        return answer.result()

    def renew(self) -> None:  # noqa: B027  (engines that replace lost workers by themselves have nothing to do)
        """Replaces workers that were lost, and with them what they had in work."""

    def look(self) -> None:  # noqa: B027
        """Asked whenever nothing came back for :data:`PATIENCE`.

        Raises:
            BusyError: nothing ever will.
        """

    def in_order(self, shards: Iterable[Any]) -> Iterator[Any]:
        """What comes of the shards, in their order.

        The next shard is asked for when a result was taken, so that shards may depend on what came before.

        Raises:
            BusyError: workers die over and over, or there are none.
        """
        yield from (result for _, result in self._results(shards, self.ahead, in_order=True))

    def as_done(self, shards: Sequence[Any], at_once: int | None = None) -> Iterator[tuple[int, Any]]:
        """The number of each shard and what comes of it, the first one that is done first.

        Args:
            at_once: shards in work at most; None for as many as there are workers.

        Raises:
            BusyError: as :meth:`in_order`.
        """
        ahead = at_once or len(shards) if self.ahead > 1 else 1  # a crew of one does a shard as soon as it is given
        return self._results(shards, ahead, in_order=False)

    def _results(self, shards: Iterable[Any], ahead: int, *, in_order: bool) -> Iterator[tuple[int, Any]]:
        numbered, given = enumerate(shards), deque[_Given]()
        try:
            while True:
                while len(given) < ahead:
                    try:
                        number, shard = next(numbered)
                    except StopIteration:
                        break
                    given.append(self._give(number, shard))
                if not given:
                    return
                yield self._taken(given, in_order)
        finally:
            for each in given:
                each.answer.cancel()

    def _taken(self, given: "deque[_Given]", in_order: bool) -> tuple[int, Any]:
        """The result of a shard, which is in work no more."""
        while True:
            found, _ = wait(
                [given[0].answer] if in_order else [each.answer for each in given], PATIENCE, FIRST_COMPLETED
            )
            if not found:
                self.look()
                continue
            first = next(each for each in given if each.answer in found)
            if not first.answer.cancelled() and isinstance(first.answer.exception(), BrokenExecutor):
                self._lost(given)
                continue
            result = self.result(first.answer)
            given.remove(first)
            self._losses = 0
            return first.number, result

    def _give(self, number: int, shard: Any) -> _Given:
        try:
            return _Given(number, shard, self.submit(shard))
        except BrokenExecutor:  # those before it will be seen to be lost as well, and given anew
            return _Given(number, shard, _broken())

    def _lost(self, given: "deque[_Given]") -> None:
        """Has everything done again that was in work."""
        self._losses += 1
        if self._losses > LOSSES:
            raise gone(f"{LOSSES + 1} times in a row")
        self.renew()
        for place, (number, shard, answer) in enumerate(given):
            if not answer.done() or answer.exception() is not None:
                given[place] = self._give(number, shard)


class Workers(ABC):
    """An engine; to be entered before it is used, and left when all work is done.

    Attributes:
        count: workers that may be at work at once.
    """

    count = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the engine go."""

    @abstractmethod
    def crew(self, work: Work, *, forked: bool = False) -> AbstractContextManager[Crew]:
        """Workers that do ``work`` until the end of the context.

        Args:
            work: can be pickled, and has no bearing on anything but what it returns; what it raises is raised here.
            forked: processes of this machine may be forked from this one, and have what it has opened and taught.
        """

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines, of which nothing is known but that they see the project."""
        return False


def gone(when: str) -> BusyError:
    """What is said when workers die of their work."""
    return BusyError(
        f"workers were killed {when}, most likely because memory ran out; free some, or lower workers.count, and run "
        "the same command again: it goes on from what is finished"
    )


def _broken() -> "Future[Any]":
    answer: Future[Any] = Future()
    answer.set_exception(BrokenExecutor())
    return answer
