"""The flow ``study``: the folds of a study, side by side where there is room for them."""

from pathlib import Path

from prefect import flow, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from pipeline.errors import UserError
from pipeline.flows import dvc
from pipeline.flows.names import TRAINER_TAG
from pipeline.flows.output import Output
from pipeline.flows.processes import run_guarded
from pipeline.flows.runs import Limits, Outcome, run_name, unattended
from pipeline.flows.tasks import done, may_pass, plain


@flow(flow_run_name=run_name)
def study(
    project: Path = Path(),
    folds: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> State:
    """Runs the folds that are missing, by this flow's task runner, then says what all of them found.

    The server's limit of the tag augmint-trainer says how many are in work at a time: one, unless it is raised.

    Args:
        project: The folder that holds dvc.yaml and params.yaml.
        folds: Some of them, such as 0,1; empty: all.
        limits: How often and how long to try; the hours are a fold's.
    """
    project = project.resolve()
    return unattended(project, lambda: _work(project, folds, limits))


def _work(project: Path, folds: str, limits: Limits) -> Outcome:
    from pipeline.flows import folds as study_folds  # with torch, which other flows need not wait for

    options = limits.options("study")
    done(command.with_options(**options)("study-plan", [*dvc.DVC, "repro", "ingest"], project))
    done(command.with_options(**options)("study-plan", ["augmint", "study-plan"], project))
    todo = study_folds.missing(project, study_folds.wanted(project, folds))
    stages = [study_folds.target(fold) for fold in todo]
    runs = stage.with_options(tags=[TRAINER_TAG], **options).map(stages, unmapped(project))
    states = [run.wait() or run.state for run in runs]
    failed = [
        f"{name}: {state.message}" for name, state in zip(stages, states, strict=True) if not state.is_completed()
    ]
    if failed:
        raise UserError(f"{len(failed)} of {len(stages)} folds failed; the others are kept:\n" + "\n".join(failed))
    if left := study_folds.missing(project, study_folds.wanted(project, "")):
        return Outcome(f"Ran {len(stages)} folds; {len(left)} are left", stages)
    done(stage.with_options(**options)(study_folds.SUMMARY, project))
    study_folds.show(project)
    return Outcome(study_folds.sentence(project), stages)


@task(task_run_name="{name}", cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def command(name: str, line: list[str], project: Path) -> None:
    """Runs a program in the project's folder.

    Raises:
        UserError: it failed.
    """
    output = Output(project, name)
    code = run_guarded(line, project, output.take)
    if code:
        raise dvc.failure(list(output.lines), code)


@task(task_run_name="{target}", cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def stage(target: str, project: Path) -> None:
    """Runs one stage of ``study/dvc.yaml`` by `dvc repro`.

    Raises:
        UserError: it failed.
    """
    output = Output(project, target.rpartition(":")[2])
    code = run_guarded([*dvc.DVC, "repro", "--single-item", target], project, output.take)
    if code:
        raise dvc.failure(list(output.lines), code)
