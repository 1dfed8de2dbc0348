"""What the flows need on a Prefect server."""

from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, Posture

from pipeline.flows.names import TAG
from pipeline.flows.runs import TRAINER_TAG

SILENCE = timedelta(seconds=75)  # two heartbeats of 30 seconds, and some for a busy machine
DEAD_RUNS = "augmint: end runs whose process is gone"


def prepare() -> None:
    """Makes what is missing: a limit of one training at a time, and the automation that ends dead runs.

    Called by ``prefect deploy`` and ``augmint serve``; what somebody has changed since stays as it is.
    """
    with get_client(sync_client=True) as client:
        if f"tag:{TRAINER_TAG}" not in {limit.name for limit in client.read_global_concurrency_limits(limit=200)}:
            client.create_concurrency_limit(TRAINER_TAG, 1)
        if not client.read_automations_by_name(DEAD_RUNS):
            client.create_automation(dead_runs())


def dead_runs() -> AutomationCore:
    """Ends a run as Crashed when it has sent no heartbeat for :data:`SILENCE`."""
    ends = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")}
    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name=DEAD_RUNS,
        description=f"No heartbeat for {SILENCE.seconds} seconds: the process of the run, or its machine, is gone.",
        trigger=EventTrigger(
            after={heartbeat},
            expect={heartbeat, *ends},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name=None, message="No heartbeat: the process of this run is gone", force=False
            )
        ],
    )


def ensure_pool(name: str) -> None:
    """Makes a process work pool called ``name`` unless there is a pool of that name."""
    with get_client(sync_client=True) as client:
        if name not in {pool.name for pool in client.read_work_pools(limit=200)}:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
