"""What ``augmint init`` says on the terminal."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.escaping import terminal
from pipeline.plain_yaml import scalar
from pipeline.projects import choosing
from pipeline.projects.proposal import Proposal
from pipeline.projects.writing import State

MOST_CLASSES = 20
MIB = 2**20


def tell(proposal: Proposal) -> None:
    """What was found, what was chosen and why, and what it will take."""
    look = proposal.look
    colour = "grey" if look.channels == 1 else "colour"
    given = f"splits given: {', '.join(look.given)}" if look.given else "no splits given, so they are drawn"
    _say(
        f"init: {len(look.listing):,} images of {len(look.classes)} classes, {colour}, shorter sides "
        f"{look.sides.least} to {look.sides.most} pixels; {given}"
    )
    _say(
        f"init: of {look.seen:,} looked at {look.bad:,} cannot be read, {look.copies:,} are exact duplicates, "
        f"{look.near:,} have near duplicates"
    )
    _table(proposal)
    for line in (*look.listing.notes, *look.notes, *choosing.advice(look)):
        _say(f"init: note: {line}")
    for choice in proposal.choices:
        if choice.why != choosing.WITH_IT:
            _say(f"  {'.'.join(choice.key)}: {scalar(choice.value)}    {choice.why}")
    _estimate(proposal)


def _table(proposal: Proposal) -> None:
    look = proposal.look
    table = Table("class", *look.counts)
    for label, name in list(enumerate(look.classes))[:MOST_CLASSES]:
        table.add_row(Text(terminal(name)), *(f"{counts[label]:,}" for counts in look.counts.values()))
    if len(look.classes) > MOST_CLASSES:
        table.add_row(f"and {len(look.classes) - MOST_CLASSES} more", *("" for _ in look.counts))
    table.add_row(Text("all"), *(f"{int(counts.sum()):,}" for counts in look.counts.values()))
    Console().print(table)


def _estimate(proposal: Proposal) -> None:
    minutes = proposal.minutes
    parts = ", ".join(f"{name} {_minutes(value)}" for name, value in minutes.items())
    store = len(proposal.look.listing) * proposal.look.channels * proposal.params.data.image_size**2
    _say(
        f"init: `dvc repro` will take about {_minutes(sum(minutes.values()))} on this machine "
        f"({proposal.machine.device}, {proposal.machine.cores} cores): {parts}"
    )
    _say(
        f"init: and about {proposal.speed.memory / MIB:,.0f} MiB of memory, {2 * store / MIB + 100:,.0f} MiB of disk "
        f"({proposal.machine.free / MIB:,.0f} MiB are free); the images stay where they are"
    )


def _minutes(value: float) -> str:
    return f"{value / 60:.1f} h" if value >= 90 else f"{max(1, round(value))} min"


def show(files: list[State]) -> None:
    """The files of a dry run."""
    for file in files:
        what = "is there, and stays" if file.found is not None else "would be written"
        _say(f"\n# {file.name} ({what})")
        _say(file.text.rstrip("\n"))


def written(folder: Path, names: list[str], made: bool) -> None:
    """What was put where."""
    parts = [*names, *([".dvc"] if made else [])]
    _say(f"init: {folder}: " + (f"wrote {', '.join(parts)}" if parts else "all files are there already"))


def differs(path: Path, lines: Iterable[str]) -> None:
    """A file that stays as it is."""
    _say(f"init: {path}: stays as it is; this differs from what would be written:")
    for line in lines:
        _say(f"  {line}")


def next_steps(folder: Path, proposal: Proposal) -> None:
    """What to do now."""
    place = "" if folder.absolute() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    _say(f"init: next: {place}dvc repro    ({_minutes(sum(proposal.minutes.values()))}), then: augmint results")


def _say(line: str) -> None:
    Console().print(terminal(line, keep="\n"), markup=False, highlight=False, emoji=False, soft_wrap=True)
