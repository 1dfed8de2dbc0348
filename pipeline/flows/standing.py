"""`augmint serve status`: what the server says of a project."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse

from pipeline.flows import served
from pipeline.flows.names import TAG, slug

AT_WORK = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.SCHEDULED]


def lines(folder: Path) -> Iterator[str]:
    """How the project in ``folder`` is served, and a line for each deployment."""
    name, how = slug(folder), served.read(folder)
    if how is None:
        yield f"{name}: being started (PID {served.process(folder)})"
        return
    yield f"{name}: served by {'a worker' if how.worker else 'augmint'} (PID {served.process(folder)}); UI: {how.pages}"
    try:
        with SyncPrefectClient(how.api) as client:
            tagged = filters.DeploymentFilter(tags=filters.DeploymentFilterTags(all_=[TAG, name]))
            for deployment in client.read_deployments(deployment_filter=tagged):
                yield _line(client, deployment)
    except httpx.HTTPError as error:
        yield f"the server at {how.api} does not answer: {error}"


def _line(client: SyncPrefectClient, deployment: DeploymentResponse) -> str:
    runs = client.read_flow_runs(
        deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=AT_WORK))
        ),
        limit=200,
    )
    flow = client.read_flow(deployment.flow_id).name
    scheduled = sorted(run.expected_start_time for run in runs if _waits(run) and run.expected_start_time)
    now = Counter(run.state_name for run in runs if not (_waits(run) and run.auto_scheduled))
    parts = [f"{count} {state}" for state, count in sorted(now.items())]
    parts += [f"next {scheduled[0].astimezone():%a %Y-%m-%d %H:%M %Z}"] if scheduled else []
    parts += ["paused"] if deployment.paused else []
    return f"{flow}/{deployment.name}: {', '.join(parts) or 'nothing to do'}"


def _waits(run: FlowRun) -> bool:
    return run.state_type == StateType.SCHEDULED
