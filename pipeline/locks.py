"""One process at a time. The system holds the lock, so that a killed process leaves none behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BusyError


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Holds the lock ``path`` while the body runs; ``what`` names its holder's work ("a training").

    Raises:
        BusyError: another process holds it; the message names its PID.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # opened without truncating: the file holds the other's PID
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC), "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{path}: {what} is in work in this folder (PID {file.read().strip() or 'not known yet'}); wait for "
                "its end, or stop it"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
