"""What the last run found, on the terminal."""

import json
from typing import Any

from rich.console import Console

from pipeline.errors import UserError
from pipeline.report.tables import utility_table
from pipeline.workspace import Workspace


def print_results(workspace: Workspace) -> None:
    """Prints the table of arms, the verdict, and where the report lies.

    Raises:
        UserError: nothing has been judged yet.
    """
    path = workspace.metrics("utility")
    try:
        utility = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: no results to read ({error}); run `dvc repro` first") from None
    print_utility(utility)
    Console().print(f"report: {workspace.report / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def print_utility(utility: dict[str, Any]) -> None:
    """Prints the content of ``metrics/utility.json``: the table, the warnings, the verdict in a sentence."""
    console = Console()
    console.print(utility_table(utility))
    for warning in utility["warnings"]:
        console.print(f"note: {warning}", markup=False, highlight=False)
    console.print(f"{utility['verdict']}: {utility['sentence']}", markup=False, highlight=False)
