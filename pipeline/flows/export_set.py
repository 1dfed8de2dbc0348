"""The flow ``export_set``: a set from the trained generator, beside the project's own."""

from pathlib import Path
from typing import Annotated

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from pydantic import Field

from pipeline.export.request import Encoding, Format, Request
from pipeline.flows import dvc
from pipeline.flows.artifacts import publish_set
from pipeline.flows.output import Output
from pipeline.flows.processes import run_guarded
from pipeline.flows.runs import Limits, Outcome, run_name, unattended
from pipeline.flows.tasks import done, may_pass, plain


@flow(name="export_set", flow_run_name=run_name)  # Prefect would write export-set
def export_set(
    target: Path,
    project: Path = Path(),
    classes: list[str] = [],  # noqa: B006
    count: Annotated[int, Field(ge=1)] = 100,
    counts: dict[str, Annotated[int, Field(ge=0)]] = {},  # noqa: B006
    format: Format = "imagefolder",
    encoding: Encoding = "png",
    base_url: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> State:
    """Draws labelled images from the generator that is there; the project's outputs stay as they are.

    Args:
        target: The folder to write, from the project's folder on; a set that was exported there before is replaced.
        project: The folder that holds dvc.yaml and params.yaml.
        classes: Which classes to make; none: all.
        count: Synthetic images of each of them.
        counts: Other numbers for some classes, such as {"3": 500}.
        format: imagefolder, webdataset or parquet.
        encoding: Of each image.
        base_url: Where the project's folder is served, for the link to the set.
        limits: How often and how long to try.
    """
    project = project.resolve()
    place = (project / target).resolve()
    request = Request(
        target=place, classes=tuple(classes), count=count, counts=counts, format=format, encoding=encoding
    )

    def work() -> Outcome:
        done(write_set.with_options(**limits.options("export_set"))(request, project))
        publish_set(project, place, base_url)
        return Outcome(f"Wrote {place}", ["export_set"])

    return unattended(project, work)


@task(task_run_name="write {request.target}", cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def write_set(request: Request, project: Path) -> None:
    """Runs the export.

    Raises:
        UserError: it failed.
    """
    output = Output(project, "export-set")
    code = run_guarded(["augmint", "export-set", request.model_dump_json()], project, output.take)
    if code:
        raise dvc.failure(list(output.lines), code)
