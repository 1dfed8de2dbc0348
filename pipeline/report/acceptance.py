"""What the filters of ``export`` made of the draws; ``metrics/export.json`` in rows, for the page and the terminal."""

from typing import Any

from rich.table import Table

Tree = dict[str, Any]


def filters(export: Tree) -> list[str]:
    """The filters that were on."""
    return sorted({name for row in export["classes"] for name in row["rejected"]})


def by_class(export: Tree) -> list[Tree]:
    """One row a class of which there were draws: ``share`` is what all filters passed, ``rejected`` goes by filter."""
    names = filters(export)
    return [
        {key: row[key] for key in ("class", "wanted", "drawn", "accepted")}
        | {"rejected": [row["rejected"].get(name, 0) for name in names], "share": row["accepted"] / row["drawn"]}
        for row in export["classes"]
        if row["drawn"]
    ]


def acceptance_table(export: Tree) -> Table:
    """Draws of each class, how many each filter rejected, several may reject the same, and the share kept."""
    table = Table("class", title="What the filters made of the draws")
    for heading in ("drawn", *(f"- {name}" for name in filters(export)), "kept", "%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in by_class(export):
        counts = (row["drawn"], *row["rejected"], row["accepted"])
        table.add_row(row["class"], *(f"{count:,}" for count in counts), f"{row['share'] * 100:.1f}")
    return table


def acceptance_line(export: Tree) -> str | None:
    """The whole and the class of which least was kept; ``None`` where no filter was on, or nothing was drawn."""
    rows = by_class(export)
    if not filters(export) or not rows:
        return None
    drawn, kept = (sum(row[key] for row in rows) for key in ("drawn", "accepted"))
    least = min(rows, key=lambda row: row["share"])
    return (
        f"filters ({', '.join(filters(export))}): {kept / drawn:.1%} of {drawn:,} draws kept; least of class "
        f"{least['class']}: {least['share']:.1%}"
    )
