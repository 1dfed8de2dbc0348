"""Tables for the terminal."""

from typing import Any

from rich.table import Table

from pipeline.experiment.names import in_order


def utility_table(metrics: dict[str, Any]) -> Table:
    """The arms, figures in per cent; ``metrics`` is the content of ``metrics/utility.json``."""
    caption = f"recipe: {metrics['recipe']}; * baseline, by validation; τ: logit adjustment"
    table = Table("arm", title="Classifiers on real test images: balanced accuracy and F1 in %", caption=caption)
    for heading in ("valid.", "test", "95 %", "± seeds", "F1", "τ", "images"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, arm in in_order(metrics["arms"]):
        low, high = arm["ci95"]
        table.add_row(
            arm["title"] + (" *" if name == metrics["baseline"] else ""),
            f"{arm['validation'] * 100:.1f}",
            f"{arm['balanced_accuracy'] * 100:.1f}",
            f"{low * 100:.1f}-{high * 100:.1f}",
            f"{arm['spread'] * 100:.1f}",
            f"{arm['macro_f1'] * 100:.1f}",
            "" if arm["tau"] is None else f"{arm['tau']:g}",
            f"{arm['images_seen']:,}",
            style="bold" if name in (metrics["baseline"], "synthetic") else None,
        )
    return table
