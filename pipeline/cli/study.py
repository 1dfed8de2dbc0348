"""`augmint study`, and the stages that it is made of."""

from pathlib import Path

import click

from pipeline.cli.program import main
from pipeline.escaping import terminal
from pipeline.workspace import Workspace


@main.command()
@click.option("--folds", default="", metavar="0,1", help="Only these: 0,1, or with repeats 1-0.  [default: all]")
@click.option("--dry-run", is_flag=True, help="Say what would run and about how long it would take; no more.")
def study(folds: str, dry_run: bool) -> None:
    """Run the experiment in each fold of a cross-validation, so that every image is a test image.

    Says about how long it will take, then runs the folds that are missing; what is finished is never run again, and
    what was stopped goes on. How many folds there are stands in params.yaml.
    """
    from pipeline.flows.folds import study as run

    run(Path(), folds, dry_run)


@main.command("study-plan", hidden=True)
def study_plan() -> None:
    """Write the study's plan and its stages, and say how long it will take; the flow of that name runs it."""
    from pipeline.params import load_params
    from pipeline.study.estimate import estimate
    from pipeline.study.folds import all_folds
    from pipeline.study.running import prepare, remarks

    params, workspace = load_params(Workspace().params), Workspace()
    prepare(params, workspace)
    for line in remarks(params, workspace):
        click.echo(terminal(f"study: {line}"))
    click.echo(f"study: {estimate(params, workspace).said(len(all_folds(params.study)))}")


@main.command("study-fold", hidden=True)
@click.argument("fold")
def study_fold(fold: str) -> None:
    """Run FOLD of the study, such as 0-3. A stage of study/dvc.yaml, which `augmint study` writes."""
    from pipeline.params import load_params
    from pipeline.study.fold import run
    from pipeline.study.folds import wanted_folds

    params = load_params(Workspace().params)
    for one in wanted_folds(fold, params.study):
        run(params, Workspace(), one)


@main.command("study-work", hidden=True)
@click.argument("fold")
@click.argument("beacon", type=click.Path(path_type=Path))
def study_work(fold: str, beacon: Path) -> None:
    """Run the stages of FOLD on a worker, as long as BEACON says that somebody waits for it."""
    from pipeline.params import load_params
    from pipeline.study.beacon import ending_with
    from pipeline.study.fold import work
    from pipeline.study.folds import wanted_folds

    params = load_params(Workspace().params)
    with ending_with(beacon):
        for one in wanted_folds(fold, params.study):
            work(params, Workspace(), one)


@main.command("study-summary", hidden=True)
def study_summary() -> None:
    """Say what all folds found together. A stage of study/dvc.yaml."""
    from pipeline.params import load_params
    from pipeline.study.running import run_summary

    run_summary(load_params(Workspace().params), Workspace())
