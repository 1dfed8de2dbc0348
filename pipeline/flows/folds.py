"""The folds of a study by DVC: which of them are missing, and a run of one. It needs no Prefect."""

import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from pipeline.binding import read_figures
from pipeline.errors import UserError
from pipeline.flows import dvc
from pipeline.flows.fold_workers import by_workers
from pipeline.flows.processes import run_guarded
from pipeline.params import Params, load_params
from pipeline.progress import SECONDS_BETWEEN_LINES, Report
from pipeline.study import dvc_file
from pipeline.study.dvc_file import SUMMARY, target
from pipeline.study.folds import Fold, all_folds, wanted_folds
from pipeline.workers import Workers, open_workers
from pipeline.workspace import Workspace

# what DVC says to somebody who runs it by hand, and why a stage failed, which the error says
OF_DVC = re.compile(
    r"Running stage '|> |Updating lock file |Generating lock file |To track the changes with git|\tgit add|To enable "
    r"auto staging|\tdvc config|Use `dvc push`|Stage '.*' (didn't change|is cached)|ERROR: |augmint: "
    r"|[┏┃┡│├└╇┠┗╭╰]| {4}"  # and tables of single folds, which their reports hold
)


def missing(project: Path, folds: Sequence[Fold]) -> list[Fold]:
    """Those of ``folds`` that DVC would run now: of folds that are finished, none.

    Raises:
        UserError: no DVC project.
    """
    targets = {target(fold): fold for fold in folds}
    return [targets[name] for name in dvc.out_of_date(project, list(targets))]


def wanted(project: Path, folds: str) -> list[Fold]:
    """The folds that are asked for; see :func:`pipeline.study.folds.wanted_folds`."""
    return wanted_folds(folds, load_params(Workspace(project).params).study)


def sentence(project: Path) -> str:
    """What the finished study says.

    Raises:
        UserError: there is none, or it was edited.
    """
    found = read_figures(Workspace(project), "study")
    return f"{found['verdict']}: {found['sentence']}"


def reproduce(project: Path, stage: str, take: Callable[[str], None]) -> None:
    """Runs one stage of the study by `dvc repro`; ``take`` gets what it prints.

    Raises:
        UserError: it failed.
        BusyError: it failed for a reason that may pass by itself.
    """
    lines: list[str] = []

    def taken(line: str) -> None:
        lines.append(line)
        take(line)

    code = run_guarded([*dvc.DVC, "repro", "--single-item", stage], project, taken)
    if code:
        raise dvc.failure(lines[-500:], code)


def study(project: Path, folds: str, dry_run: bool) -> None:
    """What `augmint study` does: says how long it will take, runs what is missing of the folds asked for, and, once
    all are finished, says what they found.

    Args:
        folds: see :func:`pipeline.study.folds.wanted_folds`; "" for all.
        dry_run: say it and no more.

    Raises:
        UserError: the set cannot be studied, or a stage failed.
    """
    from pipeline.study import running
    from pipeline.study.estimate import estimate

    workspace = Workspace(project)
    params = load_params(workspace.params)
    chosen = wanted_folds(folds, params.study)
    if not dry_run:
        _bring(project, "ingest")
        running.prepare(params, workspace)
    else:
        running.examine(params, workspace)
    known = (project / dvc_file.FILE).is_file()
    todo = missing(project, chosen) if known else chosen
    for line in (*running.remarks(params, workspace), running.state(chosen, todo)):
        _say(f"study: {line}")
    if todo:
        _say(f"study: {estimate(params, workspace).said(len(todo))}")
    if dry_run:
        return
    _run(project, todo, params)
    left = missing(project, all_folds(params.study))
    if left:
        _say(f"study: {running.state(all_folds(params.study), left)}; `augmint study` runs the rest")
        return
    _bring(project, SUMMARY, aloud=False)
    running.print_found(workspace)
    if not show(project):
        _say("study: metrics/utility.json is not there or out of date; `dvc repro` makes one that shows the study too")


def _run(project: Path, todo: Sequence[Fold], params: Params) -> None:
    began = time.monotonic()
    workers = open_workers(params.workers, Workspace(project).scratch)
    several = workers.elsewhere and len(todo) > 1  # of one fold, a cluster is better given the parts of each stage
    with closing(_shared(project, todo, params, workers) if several else _here(todo)) as finished:
        for done, fold in enumerate(finished, 1):
            reproduce(project, target(fold), Told().take)
            spent = time.monotonic() - began
            left = spent / done * (len(todo) - done)
            _say(
                f"study: fold {fold} is finished, {done} of {len(todo)}; {spent / 60:.1f} min so far"
                + (f", about {left / 60:.1f} to go" if left else "")
            )


def _here(todo: Sequence[Fold]) -> Generator[Fold, None, None]:
    for number, fold in enumerate(todo, 1):
        _say(f"study: fold {fold}, {number} of {len(todo)}")
        yield fold


def _shared(project: Path, todo: Sequence[Fold], params: Params, workers: Workers) -> Generator[Fold, None, None]:
    """Folds as a cluster's workers finish their stages, after which they are only kept here."""
    _say(f"study: {len(todo)} folds are given to workers")
    yield from by_workers(project, workers, params.workers.count, todo, lambda fold: Told(f"{fold}: ").take)


def _bring(project: Path, stage: str, aloud: bool = True) -> None:
    """Brings one stage up to date; ``aloud`` it says what it does."""
    if dvc.out_of_date(project, [stage]):
        reproduce(project, stage, Told().take if aloud else lambda _: None)


class Told:
    """Passes on what a stage says: its progress now and then, and nothing that DVC says of itself.

    Args:
        of: goes before its progress, where several say theirs at once.
    """

    def __init__(self, of: str = "") -> None:
        self._last, self._of = 0.0, of

    def take(self, line: str) -> None:
        """Prints a line, if it is worth it."""
        report = Report.loads(line)
        if report is None:
            if line.strip() and not OF_DVC.match(line):
                _say(line)
        elif time.monotonic() - self._last >= SECONDS_BETWEEN_LINES or report.done >= report.total:
            self._last = time.monotonic()
            _say(f"{self._of}{report.line}")


def _say(line: str) -> None:
    print(line, flush=True)


def show(project: Path) -> bool:
    """Puts what the study found beside the single split's verdict: into ``metrics/utility.json`` and the report.

    DVC is told, so that `dvc repro` finds both as they should be.

    Returns:
        False if there is no verdict, or none that is up to date; `dvc repro` will then make one that shows the study.

    Raises:
        UserError: the figures were edited.
    """
    from pipeline.study.showing import rewrite

    workspace = Workspace(project)
    if not workspace.metrics("utility").is_file() or dvc.out_of_date(project, ["classify"]):
        return False
    if rewrite(load_params(workspace.params), workspace):
        lines: list[str] = []
        code = run_guarded([*dvc.DVC, "commit", "--force", "classify"], project, lines.append)
        if code:
            raise UserError(f"dvc commit classify: {dvc.failure(lines, code)}")
    return True
