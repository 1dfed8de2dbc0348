"""What a training in work draws by now, and how far it is: it is looked at, and never touched."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from gan.checkpoint import WeightsError, load_generator
from pipeline.atomic import replacing
from pipeline.errors import UserError
from pipeline.sampling import picture_kind
from pipeline.training.pictures import Pictures
from pipeline.training.status import FILE, read_status
from pipeline.workspace import Workspace

SILENT = 600.0  # seconds after which a process of that number may be another program
TRIES, PAUSE = 5, 0.2  # weights and card are two files: between them they do not fit
State = Literal["begins", "trains", "stopped", "finished"]


@dataclass(frozen=True)
class Preview:
    """What there is to see.

    Attributes:
        state: ``begins`` while a process has not come to its first image; ``trains``; ``stopped`` before its end;
            ``finished`` where nothing is in work.
        folder: of the run, or ``models/``.
        status: see :class:`pipeline.training.status.Status`; ``None`` of one that is finished or has just begun.
        age: seconds since the status was written.
        drawn: kimg of the generator that drew the picture; ``None`` if there is no picture yet.
    """

    state: State
    folder: Path
    status: dict[str, Any] | None
    age: float
    drawn: float | None

    @property
    def member(self) -> int:
        """Which generator of an ensemble; 0 is the first."""
        number = self.folder.name.removeprefix("train_")
        return int(number) if number.isdigit() else 0


def look(workspace: Workspace, out: Path) -> Preview:
    """Draws what the generator in work draws by its last checkpoint, always the same latents, into ``out``.

    Where none is in work, what ``models/`` holds.

    Raises:
        UserError: nothing trains in this folder, and nothing has been trained; or ``out`` is no kind of picture.
        OSError: ``out`` cannot be written.
    """
    kind = picture_kind(out)
    found = _latest(workspace)
    if found is not None and found[2] < SILENT and _lives(found[1]["pid"]):
        folder, status, age = found
        return Preview("trains", folder, status, age, _draw(folder, out, kind))
    if _lives(_holder(workspace)):
        return Preview("begins", workspace.scratch / "train", None, 0.0, None)
    if found is None:
        if not (workspace.models / "generator.json").is_file():
            raise UserError("nothing trains in this folder, and nothing has been trained; run `dvc repro train`")
        return Preview("finished", workspace.models, None, 0.0, _draw(workspace.models, out, kind))
    folder, status, age = found
    return Preview("stopped", folder, status, age, _draw(folder, out, kind))


def _latest(workspace: Workspace) -> tuple[Path, dict[str, Any], float] | None:
    """The run whose status is the newest: its folder, the status, and how old that is."""
    found = []
    for path in workspace.scratch.glob(f"train*/{FILE}"):
        try:
            written = path.stat().st_mtime
        except FileNotFoundError:  # the run has ended since
            continue
        status = read_status(path.parent)
        if status is not None:
            found.append((written, path.parent, status))
    if not found:
        return None
    written, folder, status = max(found, key=lambda one: one[0])
    return folder, status, max(0.0, time.time() - written)


def _holder(workspace: Workspace) -> int:
    """The process that took the lock of trainings last; 0 if none did. The lock itself is let be."""
    try:
        return int((workspace.scratch / "train.lock").read_bytes()[:20])
    except (OSError, ValueError):
        return 0


def _lives(pid: int) -> bool:
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _draw(folder: Path, out: Path, kind: str) -> float | None:
    """Draws with the generator in ``folder``; its kimg, or ``None`` if there is none to be had."""
    for attempt in range(TRIES):
        try:
            generator, card = load_generator(folder)
            break
        except WeightsError:
            if not (folder / "generator.json").is_file():
                return None
            time.sleep(PAUSE * (attempt + 1 < TRIES))
    else:
        return None
    torch.set_num_threads(1)  # leaves the processor to the training
    classes = tuple(card.get("classes") or map(str, range(generator.shape.classes)))
    picture = Pictures(folder, classes, int(card.get("seed", 0)), torch.device("cpu")).samples(generator)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as (part,):
        picture.save(part, kind)
    return float(card["kimg"])
