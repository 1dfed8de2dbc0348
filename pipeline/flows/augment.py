"""The flow ``augment``: brings the project up to date."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from pipeline.flows.runs import Limits, bring_up_to_date, run_name, unattended
from pipeline.flows.targets import Target


@flow(flow_run_name=run_name)
def augment(
    project: Path = Path(),
    targets: list[Target] = [],  # noqa: B006  (Prefect shows it in its form, and hands over a copy)
    force: bool = False,
    base_url: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> State:
    """Runs the stages that are not up to date, in DVC's order; `dvc repro` afterwards runs nothing.

    Args:
        project: The folder that holds dvc.yaml and params.yaml.
        targets: Stages to bring up to date, with what they depend on; none: all.
        force: Run the stages even if they are up to date.
        base_url: Where the project's folder is served, for links to the report and the set.
        limits: How often and how long to try.
    """
    project = project.resolve()
    return unattended(project, lambda: bring_up_to_date(project, targets, force, limits, base_url))
