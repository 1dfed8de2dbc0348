"""Which `augmint serve` is at work in a folder: what its lock and the note beside it say."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.locks import alone, take
from pipeline.workspace import Workspace

SECONDS_TO_STOP = 60.0  # its guards need half of it at most
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Served:
    """How a folder is served.

    Attributes:
        api: the address of the server's API.
        pages: where browsers see it.
        worker: whether a worker runs the flows of prefect.yaml.
    """

    api: str
    pages: str
    worker: bool


class Note:
    """What others may read of the `augmint serve` in this folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, served: Served) -> None:
        """Says how the folder is served."""
        self._path.write_text(json.dumps(asdict(served)) + "\n", encoding="utf-8")


@contextmanager
def held() -> Iterator[Note]:
    """Serves this folder alone while the body runs.

    Raises:
        BusyError: it is served already.
    """
    lock, note = _places(Path())
    with alone(lock, "augmint serve"):
        note.unlink(missing_ok=True)
        yield Note(note)


def process(folder: Path) -> int | None:
    """The PID of the `augmint serve` in ``folder``; ``None`` if there is none."""
    lock, _ = _places(folder)
    try:
        file = take(lock) if lock.exists() else -1
    except OSError:
        return None
    if file is None:
        with suppress(OSError, ValueError):
            return int(lock.read_text(encoding="utf-8"))
    elif file >= 0:
        os.close(file)
    return None


def read(folder: Path) -> Served | None:
    """How ``folder`` is served; ``None`` as long as the server has not answered."""
    try:
        return Served(**json.loads(_places(folder)[1].read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def stop(folder: Path) -> int | None:
    """Ends the `augmint serve` in ``folder`` and waits for its end; its PID, or ``None`` if there was none.

    Raises:
        UserError: it does not end, or is somebody else's.
    """
    pid = process(folder)
    if pid is None:
        return None
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise UserError(f"augmint serve (PID {pid}) was started by somebody else; ask them to stop it") from None
    end = time.monotonic() + SECONDS_TO_STOP
    while process(folder) == pid:
        if time.monotonic() > end:
            raise UserError(f"augmint serve (PID {pid}) has not ended after {SECONDS_TO_STOP:.0f} s; kill -9 {pid}")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return pid


def _places(folder: Path) -> tuple[Path, Path]:
    scratch = Workspace(folder).scratch
    return scratch / "serve.lock", scratch / "serve.json"
