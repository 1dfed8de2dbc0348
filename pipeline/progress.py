"""Progress of long operations: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts work done; :func:`track` makes one."""

    def __init__(self, total: int, what: str, unit: str, start: int = 0) -> None:
        self.total, self.what, self.unit, self.start, self.done = total, what, unit, start, start
        self._began = self._last_line = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=start, desc=what, unit=f" {unit}", unit_scale=True)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Adds ``count`` to what is done; ``note`` (``"critic loss 1.2"``) is shown beside it."""
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
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
        tail = f", {note}" if note else ""
        print(
            f"{self.what}: {self.done:,}/{self.total:,} {self.unit}, {rate:,.0f}/s, {seconds:.0f} s{left}{tail}",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def track(total: int, what: str, unit: str, start: int = 0) -> Iterator[Progress]:
    """A :class:`Progress` over ``total`` units, of which ``start`` were done before (a resumed run)."""
    progress = Progress(total, what, unit, start)
    try:
        yield progress
    finally:
        progress.close()
