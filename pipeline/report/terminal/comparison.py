"""Two results side by side on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.escaping import terminal
from pipeline.report.wording import setting

Tree = dict[str, Any]


def print_comparison(found: Tree, rows: list[Tree]) -> None:
    """Prints what differs, the figures, the verdicts and what must be known of them.

    Args:
        found: see :func:`pipeline.comparison.compared.compared`.
        rows: its figures as texts: ``title``, ``span`` and ``cells``, one a side.
    """
    console = Console()
    names = [terminal(side["name"]) for side in found["sides"]]
    console.print(_params_table(found["params"], names) if found["params"] else "No choice differs.")
    console.print(_figures_table(rows, names))
    for name, verdict in zip(names, found["verdicts"], strict=True):
        said = f"{verdict['verdict']}: {verdict['sentence']}" if verdict else "no verdict"
        _say(console, f"{name}: {said}")
    for note in found["notes"]:
        _say(console, f"note: {note}")
    for side in found["sides"]:
        for note in side["notes"]:
            _say(console, f"note, {side['name']}: {note}")
        for file, reason in side["missing"].items():
            _say(console, f"missing, {side['name']}: {file}: {reason}")


def _params_table(params: list[Tree], names: list[str]) -> Table:
    table = Table("params.yaml", title="Choices that differ")
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in params:
        table.add_row(Text(terminal(row["key"])), *(Text(terminal(setting(value))) for value in row["values"]))
    return table


def _figures_table(rows: list[Tree], names: list[str]) -> Table:
    table = Table("figure", title="Figures")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    table.add_column("below it")
    for row in rows:
        cells = (f"{value}\n{interval}" if interval else value for value, interval in row["cells"])
        known = any(interval for _, interval in row["cells"])
        table.add_row(Text(terminal(row["title"])), *cells, row["span"] if known else "")
    return table


def _say(console: Console, line: str) -> None:
    console.print(terminal(line), markup=False, highlight=False, emoji=False)
