"""A training in work on the terminal."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from pipeline.errors import INTERRUPTED
from pipeline.escaping import terminal
from pipeline.training.preview import Preview, look
from pipeline.workspace import Workspace

SHOWN = ("score_gap", "penalty", "overfitting")  # of the figures
SECONDS = 10.0  # between two looks


def preview(workspace: Workspace, out: Path | None, watch: bool, as_json: bool) -> None:
    """Draws and prints once; with ``watch``, again every :data:`SECONDS` until the training ends.

    Args:
        out: the picture, a PNG; in ``.augmint/`` if not given.
        as_json: print an object of JSON a look, on a line of its own.

    Raises:
        UserError: nothing trains here, and nothing has been trained.
        OSError: the picture cannot be written.
    """
    target = out or workspace.scratch / "preview.png"
    while True:
        seen = look(workspace, target)
        if as_json:
            click.echo(json.dumps(described(seen, target), sort_keys=True, ensure_ascii=False))
        else:
            for line in lines(seen, target):
                click.echo(terminal(line))
        if not watch or seen.state not in ("begins", "trains"):
            return
        try:
            time.sleep(SECONDS)
        except KeyboardInterrupt:  # nothing of ours has to go on
            sys.exit(INTERRUPTED)


def described(seen: Preview, out: Path) -> dict[str, Any]:
    """The same for a program."""
    return {
        "state": seen.state,
        "member": seen.member,
        "age_seconds": round(seen.age, 1),
        "picture": str(out) if seen.drawn is not None else None,
        "picture_kimg": seen.drawn,
        **(seen.status or {}),
    }


def lines(seen: Preview, out: Path) -> list[str]:
    """What there is to say, a line each."""
    said = [_progress(seen)]
    if seen.status is not None:
        said += _figures(seen.status)
    if seen.state == "begins":
        return said
    if seen.drawn is None:
        said.append("picture: none yet; the first comes with the first checkpoint (train.checkpoint_seconds)")
    else:
        said.append(f"picture: {out}, as it draws after {seen.drawn:.1f} kimg, a row a class")
    return said


def _progress(seen: Preview) -> str:
    if seen.state == "begins":
        return "train: has begun, and is at its first images; nothing to see yet"
    status, name = seen.status, f"generator {seen.member + 1}" if seen.member else "train"
    if status is None:
        return "nothing trains in this folder now; this is what the finished generator draws"
    done = f"{name}: {status['kimg']:.1f} kimg, {status['share']:.0%} of the budget"
    if seen.state == "stopped":
        return f"{done}, stopped {_time(seen.age)} ago; `dvc repro` goes on from its last checkpoint"
    left = status["seconds_left"]
    rest = "time left not known yet" if left is None else f"about {_time(left)} left"
    return f"{done}, {_time(status['seconds'])} so far, {rest}"


def _figures(status: dict[str, Any]) -> list[str]:
    found = ((name, status["figures"].get(name)) for name in SHOWN)
    known = [f"{name.replace('_', ' ')} {value:.3f}" for name, value in found if value is not None]
    said = [f"figures: {', '.join(known)}"] if known else []
    if shots := status["snapshots"]:
        last, best = shots[-1], min(shots, key=lambda one: one["kid"])
        said.append(f"last snapshot: {_judged(last)}")
        if best is not last:
            said.append(f"lowest KID of {len(shots)}: {_judged(best)}")
    said += [f"health: {alarm}" for alarm in status["alarms"]]
    return said + [f"note: {note}" for note in status.get("notes", [])]


def _judged(shot: dict[str, float]) -> str:
    error = f"\N{PLUS-MINUS SIGN} {shot['standard_error']:.4f}"
    return f"KID {shot['kid']:.4f} {error}, coverage {shot['coverage']:.3f} after {shot['kimg']:.1f} kimg"


def _time(seconds: float) -> str:
    """``3 h 05 min``, ``12 min 05 s`` or ``40 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60:,} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
