"""Progress of long operations: a bar on a terminal, plain lines in a log, JSON for a program that shows it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0
CHANNEL = "AUGMINT_PROGRESS"  # an environment variable: "json" asks for Report as lines of JSON, more of them
SECONDS_BETWEEN_REPORTS = 2.0
FAST = 10.0  # units a second, or seconds a unit, from which on fractions of one say nothing
MOST = 2**53  # of what is counted


_in_work: list["Progress"] = []  # the operations that are tracked now, the innermost last


class Report(NamedTuple):
    """How far an operation has come.

    Attributes:
        what: its name ("train").
        done: of ``total``, in ``unit``.
        line: the same as a sentence for a log, with speed and time left.
    """

    what: str
    done: int
    total: int
    unit: str
    line: str

    def dumps(self) -> str:
        """The line of JSON that :meth:`loads` reads."""
        return json.dumps({CHANNEL: self._asdict()})

    @classmethod
    def loads(cls, line: str) -> "Report | None":
        """The report in a line of output; ``None`` if it is any other line, one that merely looks like it included."""
        if not line.startswith(f'{{"{CHANNEL}": '):
            return None
        try:
            fields = json.loads(line)[CHANNEL]
            report = cls(**fields)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        counts, words = (report.done, report.total), (report.what, report.unit, report.line)
        whole = all(type(count) is int and 0 <= count < MOST for count in counts)
        return report if whole and all(isinstance(word, str) for word in words) else None


class Progress:
    """Counts work done; :func:`track` makes one."""

    def __init__(self, total: int, what: str, unit: str, start: int = 0) -> None:
        self.total, self.what, self.unit, self.start, self.done = total, what, unit, start, start
        self._began = self._last_line = time.monotonic()
        self._json = os.environ.get(CHANNEL) == "json"
        self._pause = SECONDS_BETWEEN_REPORTS if self._json else SECONDS_BETWEEN_LINES
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=start, desc=what, unit=f" {unit}", unit_scale=True)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Adds ``count`` to what is done; ``note`` (``"critic loss 1.2"``) is shown beside it."""
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= self._pause:
            self._line(note)

    def say(self, text: str) -> None:
        """Prints one line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar, or prints the last line."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._line("")

    def _line(self, note: str) -> None:
        self._last_line = time.monotonic()
        seconds = self._last_line - self._began
        rate = (self.done - self.start) / max(seconds, 1e-9)
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate > 0 and self.done < self.total else ""
        speed = f", {_speed(rate)}" if rate > 0 else ""
        tail = f", {note}" if note else ""
        line = f"{self.what}: {self.done:,}/{self.total:,} {self.unit}{speed}, {seconds:.0f} s{left}{tail}"
        report = Report(self.what, self.done, self.total, self.unit, line)
        print(report.dumps() if self._json else line, file=sys.stderr, flush=True)


def _speed(rate: float) -> str:
    """Units a second, and below one the seconds of each.

    >>> _speed(1234.5), _speed(2.34), _speed(0.11), _speed(0.004)
    ('1,234/s', '2.3/s', '9.1 s each', '250 s each')
    """
    if rate >= 1:
        return f"{rate:,.0f}/s" if rate >= FAST else f"{rate:.2g}/s"
    return f"{1 / rate:,.0f} s each" if rate < 1 / FAST else f"{1 / rate:.2g} s each"


def say(text: str) -> None:
    """Prints one line, beside the bar of the operation in work if there is one."""
    if _in_work:
        _in_work[-1].say(text)
    else:
        print(text, flush=True)


@contextmanager
def track(total: int, what: str, unit: str, start: int = 0) -> Iterator[Progress]:
    """A :class:`Progress` over ``total`` units, of which ``start`` were done before (a resumed run)."""
    progress = Progress(total, what, unit, start)
    _in_work.append(progress)
    try:
        yield progress
    finally:
        _in_work.remove(progress)
        progress.close()
