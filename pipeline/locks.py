"""One process at a time. The system holds the lock, so that a killed process leaves none behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BusyError


def take(path: Path) -> int | None:
    """Locks the file ``path``, made if need be: its descriptor, to be closed, or ``None`` if another process has it.

    Raises:
        OSError: it cannot be opened for writing, as where it is a folder or its folder is read-only.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        except FileNotFoundError:
            pass  # who had it removed it in between
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            raise
        os.close(file)


SECONDS_BETWEEN_TRIES = 0.5


@contextmanager
def alone(path: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """Holds the lock ``path`` while the body runs; ``what`` names its holder's work ("a training").

    Args:
        patience: seconds to wait for a process that holds it.

    Raises:
        BusyError: another process holds it; the message names its PID.
        OSError: as :func:`take`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    while (file := take(path)) is None and time.monotonic() < until:
        time.sleep(SECONDS_BETWEEN_TRIES)
    if file is None:
        pid = path.read_text(encoding="utf-8").strip() or "not known yet"
        raise BusyError(f"{path}: {what} is in work in this folder (PID {pid}); wait for its end, or stop it")
    try:
        os.truncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(file)
