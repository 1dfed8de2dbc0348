"""The flow ``sweep``: several sets of parameters as DVC experiments, compared in a table."""

from pathlib import Path
from typing import Annotated, Any

from dvc.api import exp_show
from prefect import flow, runtime, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from pydantic import Field

from pipeline.errors import UserError
from pipeline.flows import dvc
from pipeline.flows.names import TRAINER_TAG, artifact_key
from pipeline.flows.output import Output
from pipeline.flows.processes import run_guarded
from pipeline.flows.runs import Limits, Outcome, run_name, unattended
from pipeline.flows.targets import Target
from pipeline.flows.tasks import done, may_pass, plain

FIGURES = ("verdict", "delta", "kid", "frechet_distance", "coverage", "label_agreement", "critic_loss", "wasserstein")


@flow(flow_run_name=run_name)
def sweep(
    sets: Annotated[list[dict[str, Any]], Field(min_length=1)],
    project: Path = Path(),
    targets: list[Target] = [],  # noqa: B006
    limits: Limits = Limits(),  # noqa: B008
) -> State:
    """Runs every set as a DVC experiment beside the project, whose outputs stay as they are: see `dvc exp show`.

    Experiments see what is committed to Git and what DVC tracks; a source at a relative path must be one of both.

    Args:
        sets: Each changes keys of params.yaml, such as {"train.kimg": 50, "seed": 1}.
        project: The folder that holds dvc.yaml and params.yaml.
        targets: Stages to bring up to date, with what they depend on; none: all.
        limits: How often and how long to try.
    """

    project = project.resolve()

    def work() -> Outcome:
        ran, failed = [], []
        for number, values in enumerate(sets, start=1):
            name = f"sweep-{str(runtime.flow_run.id)[:8]}-{number}"
            try:
                done(experiment.with_options(**limits.options("sweep"))(name, values, targets, project))
                ran.append(name)
            except UserError as error:
                failed.append(f"{name} ({values}): {error}")
        keys = list(dict.fromkeys(key for values in sets for key in values))
        table = compared(project, ran, keys)
        create_table_artifact(table, artifact_key(project, "sweep"), "Experiments, and the workspace")
        if failed:
            raise UserError(f"{len(failed)} of {len(sets)} failed:\n" + "\n".join(failed))
        return Outcome(f"Ran {', '.join(ran)}; `dvc exp apply NAME` takes one over", ran)

    return unattended(project, work)


@task(task_run_name="{name}", tags=[TRAINER_TAG], cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def experiment(name: str, values: dict[str, Any], targets: list[str], project: Path) -> None:
    """Runs one experiment in a folder of its own.

    Raises:
        UserError: it failed.
    """
    output = Output(project, "sweep")
    changes = [part for key, value in values.items() for part in ("--set-param", f"{key}={value}")]
    code = run_guarded([*dvc.DVC, "exp", "run", "--temp", "--name", name, *changes, *targets], project, output.take)
    if code:
        raise dvc.failure(list(output.lines), code)


def compared(project: Path, names: list[str], keys: list[str]) -> list[dict[str, Any]]:
    """A row for each experiment and for the workspace: the parameters that the sets change, and the main figures."""
    rows = [row for row in exp_show(str(project)) if row["Experiment"] in names or row["rev"] == "workspace"]
    return [
        {"experiment": row["Experiment"] or row["rev"]}
        # DVC names the file where a parameter and a figure have the same name
        | {key: row.get(key, row.get(f"params.yaml:{key}")) for key in keys}
        | {figure: row.get(figure) for figure in FIGURES}
        for row in rows
    ]
