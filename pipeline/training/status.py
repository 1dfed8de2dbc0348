"""What a run in work says of itself, for ``augmint preview``: a file beside its state, replaced in one step.

Nothing of it is ever read by a run, so that losing it, or failing to write it, costs no more than the preview.
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.atomic import write_json
from pipeline.reading.documents import Document, load

FILE = "status.json"
SECONDS_BETWEEN = 2.0
Count = Annotated[float, Field(ge=0)]


class Seen(Document):
    """A snapshot that was judged: see :class:`pipeline.training.snapshots.Snapshot`."""

    kimg: Count
    kid: float
    standard_error: float
    coverage: float


class Status(Document):
    """How far a run is.

    Attributes:
        pid: of the process that trains.
        kimg: thousands of real images shown to the critic.
        share: of the budget.
        seconds: since this process began with it.
        seconds_left: ``None`` while that cannot be told.
        figures: of the last stretch of the curves, by the names of ``plots/train/curves.csv``.
        alarms: what its health shows, in sentences.
        notes: what is done in another way than asked for, in sentences.
    """

    pid: Annotated[int, Field(ge=1)]
    kimg: Count
    share: Annotated[float, Field(ge=0, le=1)]
    seconds: Count
    seconds_left: Count | None
    figures: dict[str, float | None]
    snapshots: list[Seen]
    alarms: list[str]
    notes: list[str] = Field(default_factory=list)


class Reporter:
    """Writes the status of a run into its folder, every few seconds.

    Args:
        folder: of the run.
        share: of the budget that earlier sittings spent.
    """

    def __init__(self, folder: Path, share: float) -> None:
        self._path, self._start = folder / FILE, share
        self._began = time.monotonic()
        self._last = -math.inf

    @property
    def due(self) -> bool:
        """Whether the last one is some seconds old."""
        return time.monotonic() - self._last >= SECONDS_BETWEEN

    def write(
        self,
        kimg: float,
        share: float,
        figures: Mapping[str, float],
        snapshots: Sequence[Mapping[str, float]],
        alarms: Sequence[str],
        notes: Sequence[str],
    ) -> None:
        """See :class:`Status`; a disk that does not take it is passed over."""
        self._last = time.monotonic()
        seconds, gone = self._last - self._began, share - self._start
        status: dict[str, Any] = {
            "pid": os.getpid(),
            "kimg": kimg,
            "share": share,
            "seconds": seconds,
            "seconds_left": seconds / gone * (1 - share) if gone > 0 else None,
            "figures": {name: value if math.isfinite(value) else None for name, value in figures.items()},
            "snapshots": [dict(one) for one in snapshots],
            "alarms": list(alarms),
            "notes": list(notes),
        }
        part = self._path.with_suffix(".part")
        with suppress(OSError, ValueError):
            write_json(part, status)
            part.replace(self._path)


def read_status(folder: Path) -> dict[str, Any] | None:
    """The content of the file in a run's folder, see :class:`Status`; ``None`` if there is none that can be read."""
    try:
        content = load(folder / FILE)
        Status.model_validate(content)
    except (OSError, ValueError):
        return None
    return dict(content)
