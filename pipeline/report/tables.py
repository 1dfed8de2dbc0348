"""Tables for the terminal."""

from typing import Any

from rich.table import Table


def utility_table(metrics: dict[str, Any]) -> Table:
    """The arms, figures in per cent; ``metrics`` is the content of ``metrics/utility.json``."""
    table = Table(title="Classifiers on real test images", caption=metrics["verdict"])
    table.add_column("arm")
    for heading in ("validation", "balanced accuracy", "95 % interval", "± seeds", "macro-F1", "images seen"):
        table.add_column(heading, justify="right")
    for name, arm in metrics["arms"].items():
        low, high = arm["ci95"]
        table.add_row(
            arm["title"] + (" (baseline)" if name == metrics["baseline"] else ""),
            f"{arm['validation'] * 100:.1f}",
            f"{arm['balanced_accuracy'] * 100:.1f}",
            f"{low * 100:.1f} to {high * 100:.1f}",
            f"{arm['spread'] * 100:.1f}",
            f"{arm['macro_f1'] * 100:.1f}",
            f"{arm['images_seen']:,}",
            style="bold" if name in (metrics["baseline"], "synthetic") else None,
        )
    return table
