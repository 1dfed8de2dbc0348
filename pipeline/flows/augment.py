"""The flow ``augment``: brings the project up to date."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from pipeline.flows.runs import Limits, bring_up_to_date, unattended

Project = Annotated[Path, Field(description="The folder that holds dvc.yaml and params.yaml")]
Targets = Annotated[list[str], Field(description="Stages to bring up to date, with what they depend on; none: all")]
BaseUrl = Annotated[str, Field(description="Where the project's folder is served, for links to the report and the set")]


@flow
def augment(
    project: Project = Path(),
    targets: Targets = [],  # noqa: B006  (Prefect shows it in its form, and validates a copy)
    force: Annotated[bool, Field(description="Run the stages even if they are up to date")] = False,
    base_url: BaseUrl = "",
    limits: Limits = Limits(),  # noqa: B008  (frozen by nobody's writing to it; shown in the form)
) -> State:
    """Runs the stages that are not up to date, in DVC's order; `dvc repro` afterwards runs nothing."""
    return unattended(project, lambda: bring_up_to_date(project, targets, force, limits, base_url))
