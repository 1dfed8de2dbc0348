"""The figures of ``metrics/quality.json`` as a table for people."""

from typing import Any

from rich.table import Table


def quality_table(quality: dict[str, Any]) -> Table:
    """Each figure beside what unseen real images score in its place; what falls short is marked.

    Args:
        quality: the content of ``metrics/quality.json``.
    """
    table = Table("figure", title=f"{quality['images']['compared']} images a side, {quality['embedder']}")
    for heading in ("synthetic", "real", "95 % of real"):
        table.add_column(heading, justify="right")
    for name, values in quality["floor"].items():
        low, high = values["ci95"]
        style = "red" if name in quality["below_floor"] else None
        table.add_row(
            name.replace("_", " "),
            f"{values['synthetic']:.3f}",
            f"{values['real']:.3f}",
            f"{low:.3f} to {high:.3f}",
            style=style,
        )
    return table
