"""The figures by class, in files of their own: a metrics file that Git keeps stays small, however many classes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.metrics.bias import TONES
from pipeline.tables import write_csv

Row = dict[str, Any]
CLASSES = "per_class"


def parted(quality: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """All figures of a set, as the content of ``metrics/quality.json`` and the tables that go beside it.

    Args:
        quality: as :func:`pipeline.metrics.quality.measure` gives it.

    Returns:
        The figures of the whole, and by name the rows of ``per_class`` (one a class, and one such table for each
        further embedder), ``intensity`` (one a class, tone and channel) and ``confusions`` (one a pair of classes that
        was seen).
    """
    bias, embedders = quality["bias"], quality["embedders"]
    intensity, names = bias["intensity"], [row["class"] for row in quality[CLASSES]]
    tables = {
        CLASSES: quality[CLASSES],
        "intensity": list(_intensity(intensity[CLASSES])),
        "confusions": list(_confusions(bias["confusion"], names)),
        **{f"{CLASSES}-{name.replace(':', '-')}": other[CLASSES] for name, other in embedders.items()},
    }
    worst = next((row for row in intensity[CLASSES] if row["class"] == intensity["worst_class"]), None)
    whole = _without(quality, CLASSES) | {
        "bias": _without(bias, "confusion") | {"intensity": _without(intensity, CLASSES) | {"worst": worst}},
        "embedders": {name: _without(other, CLASSES) for name, other in embedders.items()},
    }
    return whole, tables


def write_tables(folder: Path, tables: Mapping[str, list[Row]]) -> None:
    """Writes each table as a CSV file into ``folder``, which exists."""
    for name, rows in tables.items():
        write_table(folder / f"{name}.csv", rows)


def write_table(path: Path, rows: list[Row]) -> None:
    """Writes one of them; there is at least one row."""
    write_csv(path, list(rows[0]), (row.values() for row in rows))


def _without(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != name}


def _intensity(rows: list[Row]) -> Iterator[Row]:
    for row in rows:
        for tone in TONES:
            part = row[tone]
            for channel, interval in enumerate(part["ci95"]):
                low, high = interval or (None, None)
                figures = {name: part[name][channel] for name in ("real", "synthetic", "drift")}
                yield {"class": row["class"], "tone": tone, "channel": channel, **figures, "low": low, "high": high}


def _confusions(confusion: Mapping[str, list[list[int]]], names: list[str]) -> Iterator[Row]:
    for asked, (synthetic, real) in enumerate(zip(confusion["synthetic"], confusion["real"], strict=True)):
        for seen, counts in enumerate(zip(synthetic, real, strict=True)):
            if any(counts):
                yield {"asked": names[asked], "seen": names[seen], "synthetic": counts[0], "real": counts[1]}
