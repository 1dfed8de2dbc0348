"""A study on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.escaping import terminal
from pipeline.report.wording import between, number, percent, points

Tree = dict[str, Any]


def study_table(study: Tree) -> Table:
    """The endpoints, in per cent and points; ``study`` is the content of ``metrics/study.json``."""
    title = f"Study of {study['images']:,} images in {study['folds']} folds"
    title += f", {study['repeats']} times" if study["repeats"] > 1 else ""
    caption = "baseline: of each fold its own best arm without synthetic images; gain in points, above 0 is better"
    table = Table("endpoint", title=title, caption=caption)
    for heading in ("baseline", "+ synthetic", "gain", "95 %", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    folds = study["by_fold"]
    means = {name: _mean([fold[name] for fold in folds]) for name in ("baseline", "synthetic")}
    table.add_row(
        study["endpoint"]["title"],
        percent(means["baseline"]),
        percent(means["synthetic"]),
        points(study["delta"], 1),
        between(study["ci95"], "points", 1),
        "",
        style="bold",
    )
    for row in study["second_endpoints"]:
        values = (percent(row["baseline"]), percent(row["synthetic"]), points(row["gain"], 1))
        table.add_row(row["title"], *values, between(row["ci95"], "points", 1), number(row["p_holm"]))
    return table


def chance_line(study: Tree) -> str:
    """The chances of a gain, of a loss, and of neither, in a sentence."""
    chances, margin = study["chances"], f"{study['chances']['margin'] * 100:g}"
    return (
        f"P(gain above {margin} points) {chances['gain'] * 100:.0f} %, P(within ±{margin}) "
        f"{chances['within'] * 100:.0f} %, P(loss beyond {margin}) {chances['loss'] * 100:.0f} %"
    )


def print_study(study: Tree, single: float | None = None) -> None:
    """Prints the content of ``metrics/study.json``: the table, the chances, the warnings, the verdict.

    Args:
        single: the smallest effect that the single split could have seen.
    """
    Console().print(study_table(study))
    _say(chance_line(study))
    beside = f"; the single split: {single * 100:.1f}" if single is not None else ""
    _say(f"smallest effect that the study could have seen: {study['smallest_effect'] * 100:.1f} points{beside}")
    for warning in study["warnings"]:
        _say(f"note: {warning}")
    _say(f"{study['verdict']}: {study['sentence']}")


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _say(line: str) -> None:
    Console().print(terminal(line), markup=False, highlight=False, emoji=False)
