"""Writing a set part by part, while workers draw and encode what comes next; what is finished is never made again."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice

from pipeline.export.blocks import Rows
from pipeline.export.drawing import Drawing
from pipeline.export.ingredients import Ingredients
from pipeline.export.tally import Tally
from pipeline.export.work import Entry, Record, Work
from pipeline.formats.base import Item, Writer
from pipeline.progress import Progress
from pipeline.runtime import one_thread, usable_cores
from pipeline.threads import in_order
from pipeline.workers import Crew

MAX_THREADS = 8  # more would wait for the interpreter's lock


@dataclass
class Seconds:
    """Time that all workers together spent on the synthetic images' drawing and judging, and on all images' writing."""

    drawing: float = 0.0
    judging: float = 0.0
    writing: float = 0.0

    def __str__(self) -> str:
        together = max(self.drawing + self.judging + self.writing, 1e-9)
        shares = {"the generator": self.drawing, "the filters": self.judging, "writing": self.writing}
        return ", ".join(
            f"{what} {value / together:.0%} of the time" for what, value in shares.items() if value >= 0.005 * together
        )


@dataclass(frozen=True)
class Part:
    """Some images in the set's order, all of one split: what is known of each, their files, and tallies."""

    number: int
    entries: list[Entry]
    contents: Sequence[bytes]
    tallies: dict[int, Tally]


class SetWriter:
    """Brings a set from where an interrupted run left it to its end.

    Memory holds a few parts, whatever the set's size.

    Args:
        source: what the set is made from.
        work: where the finished parts are recorded.
        writer: of the format asked for.
        size: images a part.
        crew: does :class:`pipeline.export.blocks.Drawer`.
    """

    def __init__(self, source: Ingredients, work: Work, writer: Writer, size: int, crew: Crew) -> None:
        self.seconds = Seconds()
        self.tallies = [Tally() for _ in source.plan.classes]
        self._source, self._work, self._writer, self._size, self._crew = source, work, writer, size, crew

    def run(self, progress: Progress, take: Callable[[Record], object]) -> None:
        """Writes every part that is missing.

        Args:
            take: gets the records of all parts, in the set's order: what is done with them is done while others draw.

        Raises:
            UserError: the filters pass too little of a class.
            OSError: the disk does not take it.
        """
        threads = min(MAX_THREADS, usable_cores())
        pool, taken = ThreadPoolExecutor(threads), 0
        try:
            with one_thread():  # an operation; blocks drawn side by side are faster than one block on all cores
                for number, record, seconds in in_order(pool, self._write, self._missing(progress), threads + 1):
                    self.seconds.writing += seconds
                    progress.advance(len(record.entries))
                    self._hand_over(range(taken, number), take)
                    take(record)
                    taken = number + 1
            self._hand_over(count(taken), take)
        finally:
            pool.shutdown(cancel_futures=True)

    def _hand_over(self, parts: Iterable[int], take: Callable[[Record], object]) -> None:
        """Gives ``take`` the records of parts that an earlier run finished, as far as there are such."""
        for number in parts:
            if (record := self._work.load(number)) is None:
                return
            take(record)

    def _missing(self, progress: Progress) -> Iterator[Part]:
        done = yield from self._of_real(progress)
        while (record := self._work.load(done)) is not None:
            progress.advance(len(record.entries))
            for label, tally in record.tallies.items():
                self.tallies[label] = tally
            done += 1
        yield from self._drawn(done)

    def _of_real(self, progress: Progress) -> Generator[Part, None, int]:
        """The parts of real images that are missing; returns how many parts of such there are."""
        parts = list(enumerate(Rows(*rows) for rows in self._source.real_rows(self._size)))
        missing = [(number, rows) for number, rows in parts if self._work.load(number) is None]
        progress.advance(sum(len(each.rows) for _, each in parts) - sum(len(each.rows) for _, each in missing))
        files = self._crew.in_order(rows for _, rows in missing)
        for (number, (split, rows)), contents in zip(missing, files, strict=True):
            real = self._source.real[split]
            entries = [Entry(split, int(real.labels[row]), int(row), False, {}) for row in rows]
            yield Part(number, entries, contents, {})
        return len(parts)

    def _drawn(self, number: int) -> Iterator[Part]:
        drawing = Drawing(self._source, self._crew, self.tallies)
        proposals = iter(drawing)
        while chunk := list(islice(proposals, self._size)):
            entries = [Entry("train", kept.label, kept.index, True, kept.scores) for kept in chunk]
            tallies = {kept.label: self.tallies[kept.label].copy() for kept in chunk}
            yield Part(number, entries, [kept.content for kept in chunk], tallies)
            number += 1
        self.seconds.drawing, self.seconds.judging = drawing.drawing_seconds, drawing.judging_seconds
        self.seconds.writing += drawing.encoding_seconds

    def _write(self, part: Part) -> tuple[int, Record, float]:
        """The part's number and record, and the seconds that it took."""
        began = time.perf_counter()
        items = [
            Item(entry.name, entry.split, entry.label, content)
            for entry, content in zip(part.entries, part.contents, strict=True)
        ]
        written = self._writer.write_part(part.number, items)
        record = Record(part.entries, written, part.tallies)
        self._work.save(part.number, record)
        return part.number, record, time.perf_counter() - began
