"""Works for crews, where the processes of any engine can import them; some end the process that does them, once."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import BusyError, UserError
from pipeline.experiment.runner import Trainer
from pipeline.experiment.trial import Cell, Predictions
from pipeline.export.blocks import Blocks, Drawer, Drawn, Rows
from pipeline.ingest.sharded import Answer, ReadShard
from pipeline.metrics.sharing import Search


def die_once(marker: Path) -> None:
    """Ends this process by SIGKILL, unless one has ended so before."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Squares:
    """Squares numbers; a worker dies of number 3, once or always, and others are wrong."""

    marker: Path
    always: bool = False

    def __call__(self, number: int) -> int:
        if number == 3 and not self.always:
            die_once(self.marker)
        if number == 3 and self.always:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise (UserError if number == -1 else BusyError)(f"params.yaml:7: {number} is no number; write another")
        return number**2


@dataclass(frozen=True)
class Leaves:
    """Leaves a file for each shard, to show that somebody was given it."""

    folder: Path

    def __call__(self, number: int) -> None:
        (self.folder / f"given-{number}").touch()


class DyingReader(ReadShard):
    """Dies of the second shard."""

    def __call__(self, number: int) -> Answer:
        if number == 1:
            die_once(Path(self.data.path).parent / "died")
        return super().__call__(number)


class DyingDrawer(Drawer):
    """Dies of the third class."""

    def __call__(self, shard: Blocks | Rows) -> Drawn | list[bytes]:
        if isinstance(shard, Blocks) and shard.label == 2:
            die_once(Path(self.source.real["train"].images.filename).parents[2] / "died")
        return super().__call__(shard)


class DyingTrainer(Trainer):
    """Dies of the first stack."""

    def __call__(self, cells: list[Cell]) -> list[Predictions]:
        die_once(self.setup.root / "died")
        return super().__call__(cells)


class DyingSearch(Search):
    """Dies of the second part."""

    def __call__(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if rows.start:
            die_once(Path(self.train.filename).with_name("died"))
        return super().__call__(rows)
