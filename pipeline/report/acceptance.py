"""What the filters of ``export`` made of the proposals: ``metrics/export.json`` in rows."""

from typing import Any

Tree = dict[str, Any]


def filters(export: Tree) -> list[str]:
    """The filters that were on."""
    return sorted({name for row in export["classes"] for name in row["rejected"]})


def by_class(export: Tree) -> list[Tree]:
    """One row a class that had proposals: ``share`` is what all filters passed, ``rejected`` goes by filter."""
    names = filters(export)
    return [
        {key: row[key] for key in ("class", "wanted", "drawn", "accepted")}
        | {"rejected": [row["rejected"].get(name, 0) for name in names], "share": row["accepted"] / row["drawn"]}
        for row in export["classes"]
        if row["drawn"]
    ]
