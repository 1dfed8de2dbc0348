"""What the filters of ``export`` made of the proposals, on the terminal."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.escaping import terminal
from pipeline.report.acceptance import Tree, by_class, filters


def print_made(figures: Tree, seconds: object, revision: str | None) -> None:
    """Prints what the filters made of the proposals, if any was on, how many images there are, time and revision.

    Args:
        figures: the content of ``metrics/export.json``.
        seconds: where the time went, in words.
        revision: see :func:`pipeline.provenance.revision`.
    """
    if filters(figures):
        Console(stderr=True).print(acceptance_table(figures))
    if figures["images"]:
        source = f"; Git revision {revision}" if revision else ""
        print(f"export: {figures['images']:,} images; {seconds}{source}", file=sys.stderr)


def acceptance_table(export: Tree) -> Table:
    """Proposals of each class, how many each filter rejected, several may reject the same, and the share kept."""
    table = Table("class", title="What the filters made of the proposals")
    for heading in ("drawn", *(f"- {name}" for name in filters(export)), "kept", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in by_class(export):
        counts = (row["drawn"], *row["rejected"], row["accepted"])
        table.add_row(Text(terminal(row["class"])), *(f"{count:,}" for count in counts), f"{row['share'] * 100:.1f}")
    return table


def acceptance_line(export: Tree) -> str | None:
    """The whole and the class of which least was kept; ``None`` where no filter was on, or nothing was drawn."""
    rows = by_class(export)
    if not filters(export) or not rows:
        return None
    drawn, kept = (sum(row[key] for row in rows) for key in ("drawn", "accepted"))
    least = min(rows, key=lambda row: row["share"])
    return (
        f"filters ({', '.join(filters(export))}): {kept / drawn:.1%} of {drawn:,} proposals kept; least of class "
        f"{least['class']}: {least['share']:.1%}"
    )
