"""A file that says, to processes on other machines, that somebody still waits for what they do."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 2.0
"""Between two looks, and between two beats."""

SILENCE = 120.0
"""Seconds without a beat after which nobody waits: who did was killed, or its machine is gone."""


def beat(beacon: Path, number: int) -> None:
    """Says it, with another number each time: clocks of machines differ."""
    with suppress(OSError):  # a disk that is full for the moment is no reason to end anything
        beacon.write_text(f"{number}\n", encoding="utf-8")


@contextmanager
def ending_with(beacon: Path) -> Iterator[None]:
    """Ends this process with SIGTERM once nobody waits any more while the body runs: the file is gone, or silent."""
    over = threading.Event()
    threading.Thread(target=_watch, args=(beacon, over), daemon=True, name="end with beacon").start()
    try:
        yield
    finally:
        over.set()


def _watch(beacon: Path, over: threading.Event) -> None:
    seen, since = "", time.monotonic()
    while not over.wait(SECONDS):
        try:
            found = beacon.read_text(encoding="utf-8")
        except FileNotFoundError:
            break
        except OSError:  # a network that does not answer for the moment
            continue
        if found != seen:
            seen, since = found, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            break
    if not over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
