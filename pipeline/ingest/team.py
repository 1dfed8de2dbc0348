"""Small images are read by several processes: what is done of each in Python would make threads wait for one another.

The processes are forked, so that they start at once, with what this one has imported and listed. Each decodes what it
is told by number, writes the pixels into the scratch file itself, and answers with what is known of them. What takes
more room than small images do is left to this process, and so is all that a lost process was to do. They end as soon
as this one does, for what reason ever.
"""

import signal
import sys
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from pipeline.ingest import memory
from pipeline.ingest.records import Part, Records
from pipeline.sources.base import BadImageError, Payload, Source

CONTEXT = get_context("fork" if "fork" in get_all_start_methods() else None)

Task = tuple[int, Callable[[], Payload]]

LARGEST_FILE = 1 << 20
"""Bytes that a process beside this one reads of a file; a larger one is left to this process."""

TOO_LARGE = "too large"
"""Why images are bad that take more room than there is: beside this process there is less."""

AHEAD = 2
"""Chunks that a process is told in advance."""

FAR_AHEAD = 8
"""Chunks that are done while an earlier one is waited for."""

MOST_LEFT = 0.25
"""Of a chunk's images, left to this process: with more of them, the others are of little help."""


class Chunk(NamedTuple):
    """What came of some images."""

    images: int
    passed: Counter[str]


class Reader(Protocol):
    """What reads images, see :mod:`pipeline.ingest.reading`."""

    records: Records

    def read(self, tasks: list[Task]) -> Chunk:
        """Reads some images, and writes down what came of them."""
        ...


class Answer(NamedTuple):
    """What another process read.

    Attributes:
        chunk: as :class:`Reader` gives it.
        part: the rows of the records, in the order of the tasks.
        left: positions of the tasks that are left to this process.
    """

    chunk: Chunk
    part: Part
    left: list[int]


class _Waiting(NamedTuple):
    """A chunk that another process reads."""

    helper: "_Helper"
    tasks: list[Task]


class _Helper:
    """A process beside this one; ``lost`` when it does not answer, or is not asked any more."""

    def __init__(self, line: Connection) -> None:
        self.line, self.asked, self.lost = line, 0, False


def forks(source: Source) -> bool:
    """Whether the images of ``source`` can be read by processes that are forked from this one."""
    return sys.platform == "linux" and getattr(source, "apart", False)


class Team:
    """This process and some that read beside it.

    Args:
        helpers: how many others.
        chunks: what there is to read; what is taken of it is read.
        reader: reads, in every process.
    """

    def __init__(self, helpers: int, chunks: Iterator[list[Task]], reader: Reader) -> None:
        self._count, self._chunks, self._reader = helpers, chunks, reader
        self._numbered = enumerate(chunks)
        self._helpers: list[_Helper] = []
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._exits.enter_context(self._started())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def read(self) -> Iterator[Chunk]:
        """Reads the chunks, in order, to their end, or until the others are of little help."""
        waiting: deque[Chunk | _Waiting] = deque()
        more = True
        while more or waiting:
            more = more and self._hand_out(waiting)
            if more and len(waiting) < FAR_AHEAD * (1 + self._count):
                more = self._read_one(waiting)
                patient = False
            else:
                patient = True
            while waiting and (chunk := self._taken(waiting[0], patient)) is not None:
                waiting.popleft()
                yield chunk
                patient = False

    @contextmanager
    def _started(self) -> Iterator[None]:
        here, there = CONTEXT.Pipe()
        self._helpers.append(_Helper(here))
        lines = [helper.line for helper in self._helpers]
        process = CONTEXT.Process(target=_serve, args=(there, lines, self._chunks, self._reader), daemon=True)
        with warnings.catch_warnings():  # of threads that a fork leaves behind: none of them holds what is needed here
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        try:
            yield
        finally:
            here.close()
            process.terminate()
            process.join()

    def _hand_out(self, waiting: "deque[Chunk | _Waiting]") -> bool:
        """Gives the others enough to do; says whether there is more to read beside them."""
        useful = [helper for helper in self._helpers if not helper.lost]
        for helper in useful:
            while helper.asked < AHEAD and not helper.lost:
                number, tasks = next(self._numbered, (0, []))
                if not tasks:
                    return False
                with suppress(OSError):  # its chunk is read here then
                    helper.line.send(number)
                helper.asked += 1
                waiting.append(_Waiting(helper, tasks))
        return bool(useful)

    def _read_one(self, waiting: "deque[Chunk | _Waiting]") -> bool:
        """Reads a chunk here; False if there is none."""
        _, tasks = next(self._numbered, (0, []))
        if tasks:
            waiting.append(self._reader.read(tasks))
        return bool(tasks)

    def _taken(self, entry: Chunk | _Waiting, patient: bool) -> Chunk | None:
        """What came of the earliest chunk; None if it is not there yet, and nobody is patient."""
        if isinstance(entry, Chunk):
            return entry
        helper, tasks = entry
        answer: Answer | None = None
        try:
            if not patient and not helper.line.poll():
                return None
            answer = helper.line.recv()
        except (EOFError, OSError):
            helper.lost = True
        helper.asked -= 1
        if answer is None:
            return self._reader.read(tasks)
        rows = [index for place, (index, _) in enumerate(tasks) if place not in answer.left]
        self._reader.records.put(rows, answer.part)
        passed = answer.chunk.passed
        if answer.left:
            passed += self._reader.read([tasks[place] for place in answer.left]).passed
            helper.lost = helper.lost or len(answer.left) > MOST_LEFT * len(tasks)
        return Chunk(len(tasks), passed)


def _serve(line: Connection, others: list[Connection], chunks: Iterator[list[Task]], reader: Reader) -> None:
    """What a process beside the one that reads does, until that one closes the line or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's, which all get, the other process takes care
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    memory.PIXELS = memory.Budget(memory.SMALL)
    done = 0
    with suppress(EOFError, OSError):
        while True:
            number = line.recv()
            tasks = next(islice(chunks, number - done, None))
            done = number + 1
            line.send(_answer(tasks, reader))


def _answer(tasks: list[Task], reader: Reader) -> Answer | None:
    """None for an error, which the other process will meet as well, and can raise."""
    try:
        chunk = reader.read([(index, partial(_read_small, read)) for index, read in tasks])
    except Exception:
        return None
    reasons = reader.records.reasons
    left = [place for place, (index, _) in enumerate(tasks) if index in reasons and reasons[index].reason == TOO_LARGE]
    rows = [index for place, (index, _) in enumerate(tasks) if place not in left]
    return Answer(chunk, reader.records.part(rows), left)


def _read_small(read: Callable[..., Payload]) -> Payload:
    data = read(limit=LARGEST_FILE + 1)
    if isinstance(data, bytes) and len(data) > LARGEST_FILE:
        raise BadImageError(TOO_LARGE)
    return data
