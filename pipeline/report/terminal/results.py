"""What the last run found, on the terminal."""

import os
from typing import Any

from rich.console import Console

from pipeline.binding import as_now, changed, read_figures
from pipeline.errors import UserError
from pipeline.escaping import terminal
from pipeline.params import load_params
from pipeline.report.advice import Step, advise
from pipeline.report.terminal.acceptance import acceptance_line
from pipeline.report.terminal.quality import copy_line, gate_lines
from pipeline.report.terminal.study import print_study
from pipeline.report.terminal.tables import utility_table
from pipeline.wording import recommendation, told
from pipeline.workspace import Workspace

Tree = dict[str, Any]


def print_results(workspace: Workspace) -> None:
    """Prints what is known of gates, copies and filters, the table of arms, the verdict, and the report's path.

    Raises:
        UserError: nothing has been judged yet, or figures were edited since.
    """
    utility = read_figures(workspace, "utility")
    for line in _set_lines(workspace):
        _say(line)
    print_utility(utility)
    if found := changed(utility, as_now(workspace, utility)):
        _say(f"note: these are the last run's; since then {', '.join(found)} changed: run `dvc repro`")
    if study := _read(workspace, "study"):
        print_study(study, utility["smallest_effect"])
        if found := changed(study, as_now(workspace, study)):
            _say(f"note: the study is an earlier one; since then {', '.join(found)} changed: run `augmint study`")
    for line in _advice_lines(workspace, utility):
        _say(line)
    Console().print(f"report: {workspace.report / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def as_tree(workspace: Workspace) -> Tree:
    """The same for programs: verdict, what to do, and the figures that the tables are made of.

    Raises:
        UserError: as :func:`print_results`.
    """
    utility = read_figures(workspace, "utility")
    return {
        "verdict": utility["verdict"],
        "sentence": utility["sentence"],
        "recommended": recommendation(utility),
        "changed_since": changed(utility, as_now(workspace, utility)),
        "now": [step.what for step in _steps(workspace, utility)],
        "report": str(workspace.report / "index.html"),
        "figures": {"utility": utility, **{name: _read(workspace, name) for name in ("quality", "export", "study")}},
    }


def print_utility(utility: Tree) -> None:
    """Prints the content of ``metrics/utility.json``: the table, the warnings, the verdict in words."""
    Console().print(utility_table(utility))
    for warning in utility["warnings"]:
        _say(f"note: {warning}")
    _say(f"{utility['verdict']}: {told(utility)}")


def _set_lines(workspace: Workspace) -> list[str]:
    """What is known of the set itself."""
    quality, export = (_read(workspace, name) for name in ("quality", "export"))
    lines = [*gate_lines(quality), copy_line(quality)] if quality else []
    return [line for line in (*lines, export and acceptance_line(export)) if line]


def _advice_lines(workspace: Workspace, utility: Tree) -> list[str]:
    steps = _steps(workspace, utility)
    return ["What to do now:", *(f"  {step.what} {step.why}" for step in steps)] if steps else []


def _steps(workspace: Workspace, utility: Tree) -> list[Step]:
    """What to do now; nothing where params.yaml or the figures are not what they were when that was found."""
    try:
        params = load_params(workspace.params)
        return advise(params, utility, *(_read(workspace, name) for name in ("quality", "train"))).now
    except (UserError, KeyError, TypeError, ValueError):  # `augmint check` says what is wrong with params.yaml
        return []


def _read(workspace: Workspace, name: str) -> Tree | None:
    """Figures that ``augmint classify`` can do without."""
    return read_figures(workspace, name) if os.path.lexists(workspace.metrics(name)) else None


def _say(line: str) -> None:
    Console().print(terminal(line), markup=False, highlight=False, emoji=False)
