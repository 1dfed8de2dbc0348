"""What the flows need on a Prefect server."""

from datetime import timedelta
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitUpdate,
    VariableCreate,
    VariableUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger, ResourceSpecification
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.exceptions import ObjectAlreadyExists

from pipeline.errors import UserError
from pipeline.flows import timing
from pipeline.flows.names import TAG, TRAINER_TAG, slug

SILENCE = timedelta(seconds=75)  # two heartbeats of 30 seconds, and some for a busy machine
BEGINNING = timedelta(seconds=90)  # of a run, from when a worker took it; a busy machine needs a minute
DEAD_RUNS = "augmint: end runs whose process is gone"
LOST_RUNS = "augmint: end runs that never began"
ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")
BEGUN = ("Running", "Scheduled", "AwaitingConcurrencySlot", "Cancelling", "InfrastructurePending", *ENDS)
ALIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
LOOPBACK = ("://127.", "://localhost", "://[::1]")


def prepare() -> dict[str, str]:
    """Claims the name of the project in this folder, and makes what is missing on the server.

    That is a limit of one training at a time, and the automations that end dead runs. Called by ``prefect deploy`` and
    ``augmint serve``; what somebody has changed since stays as it is.

    Returns:
        The project's ``name`` and ``folder``, which prefect.yaml writes into the deployments.

    Raises:
        UserError: another folder has that name, or prefect.yaml has a schedule that cannot be.
    """
    project = Path().resolve()
    timing.check_project(project)
    with get_client(sync_client=True) as client:
        claim(client, project)
        limits = {limit.name: limit for limit in client.read_global_concurrency_limits(limit=200)}
        if (trainers := limits.get(f"tag:{TRAINER_TAG}")) is None:
            client.create_concurrency_limit(TRAINER_TAG, 1)
        elif trainers.active_slots and not _trains(client):  # the server forgot whose it was when it was restarted
            client.update_global_concurrency_limit(trainers.name, GlobalConcurrencyLimitUpdate(active_slots=0))
        for automation in (dead_runs(), lost_runs()):
            if not client.read_automations_by_name(automation.name):
                client.create_automation(automation)
    return {"name": slug(project), "folder": str(project)}


def claim(client: SyncPrefectClient, project: Path) -> None:
    """Keeps a project's name for its folder, as a variable on the server.

    Raises:
        UserError: another folder has it.
    """
    name, folder = slug(project), str(project)
    variable = f"augmint_{name.replace('-', '_')}"
    try:
        client.create_variable(VariableCreate(name=variable, value=folder))
        return
    except ObjectAlreadyExists:
        found = client.read_variable_by_name(variable)
    owner = found.value if found else folder
    if owner == folder:
        return
    if isinstance(owner, str) and not Path(owner).exists() and any(host in str(client.api_url) for host in LOOPBACK):
        client.update_variable(VariableUpdate(name=variable, value=folder))  # it was moved
        return
    raise UserError(
        f"{name}: the server at {client.api_url} has a project of this name already: it is in {owner}, this one is in "
        f"{folder}; give one of the two another name (`name: ...` at the top of its prefect.yaml), or, if that one "
        f"is no more, let the server forget it: prefect variable delete {variable}"
    )


def _trains(client: SyncPrefectClient) -> bool:
    """Whether a training can be at work."""
    flow_states = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=ALIVE))
    task_states = filters.TaskRunFilterState(type=filters.TaskRunFilterStateType(any_=ALIVE))
    runs = filters.FlowRunFilter(tags=filters.FlowRunFilterTags(all_=[TAG]), state=flow_states)
    tasks = filters.TaskRunFilter(tags=filters.TaskRunFilterTags(all_=[TRAINER_TAG]), state=task_states)
    return bool(
        client.read_flow_runs(flow_run_filter=runs, limit=1) or client.read_task_runs(task_run_filter=tasks, limit=1)
    )


def dead_runs(tag: str = TAG, silence: timedelta = SILENCE) -> AutomationCore:
    """Ends a run of that ``tag`` as Crashed when it has sent no heartbeat for so long."""
    beat = _event("heartbeat")
    return _ending(
        DEAD_RUNS,
        f"No heartbeat for {silence.seconds} seconds: the process of the run, or its machine, is gone.",
        {beat, _event("Running")},
        {beat, *map(_event, ENDS)},
        tag,
        silence,
        "No heartbeat: the process of this run is gone",
    )


def lost_runs(tag: str = TAG, beginning: timedelta = BEGINNING) -> AutomationCore:
    """Ends a run of that ``tag`` as Crashed when a worker took it so long ago, and it has not begun."""
    return _ending(
        LOST_RUNS,
        f"{beginning.seconds} seconds after a worker took the run it has not begun: the worker is gone.",
        {_event("Pending"), _event("Submitting")},
        set(map(_event, BEGUN)),
        tag,
        beginning,
        "The worker that took this run is gone, or did not start it; run it again",
    )


def _event(state: str) -> str:
    return f"prefect.flow-run.{state}"


def _ending(
    name: str, description: str, after: set[str], expect: set[str], tag: str, within: timedelta, message: str
) -> AutomationCore:
    """Ends a run as Crashed when nothing that is expected follows ``within`` that time."""
    return AutomationCore(
        name=name,
        description=description,
        trigger=EventTrigger(
            after=after,
            expect=expect,
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)],
    )


def ensure_pool(name: str) -> None:
    """Makes a process work pool called ``name`` unless there is a pool of that name."""
    with get_client(sync_client=True) as client:
        if name not in {pool.name for pool in client.read_work_pools(limit=200)}:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
