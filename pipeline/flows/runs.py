"""The frame of every flow, and the task that runs one of DVC's stages."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
from prefect import runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Completed, Crashed, Failed
from pydantic import BaseModel, Field

from pipeline.binding import read_figures
from pipeline.errors import BusyError, UserError
from pipeline.flows import artifacts, dvc
from pipeline.flows.events import GATE_FAILED, RUN_FINISHED, VERDICT_CHANGED, emit
from pipeline.flows.figures import read
from pipeline.flows.names import TRAINER_TAG, slug
from pipeline.flows.output import Output
from pipeline.flows.processes import run_guarded
from pipeline.flows.tasks import done, hush, may_pass, plain
from pipeline.locks import alone
from pipeline.runtime import adopted, ending_with
from pipeline.workspace import Workspace

TRAINING = ("train", "evaluate", "classify")  # the stages that train a network
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_TO_END = 20.0  # of a flow whose worker is gone: it may try in vain to tell the server
STARTED_BY_WORKER = b"PREFECT__CONTROL_PORT="  # Prefect takes it out of os.environ
GONE = 0  # no process has this number


class Limits(BaseModel):
    """How often a flow tries what may pass by itself (a full GPU, a remote that does not answer), and for how long."""

    retries: Annotated[int, Field(ge=0, le=10, description="Repeats of what may pass; nothing else is repeated")] = 3
    retry_delay: Annotated[float, Field(ge=0, description="Seconds before the first; they double with each")] = 60
    hours: Annotated[float, Field(gt=0, description="A stage that takes longer is stopped; the next run goes on")] = 24
    stage_hours: Annotated[dict[str, float], Field(description='Other ones for stages, such as {"ingest": 1}')] = {}

    def options(self, stage: str) -> dict[str, Any]:
        """The same as options of a Prefect task."""
        return {
            "retries": self.retries,
            "retry_delay_seconds": [self.retry_delay * 2**n for n in range(self.retries)],
            "timeout_seconds": 3600 * self.stage_hours.get(stage, self.hours),
        }


@dataclass
class Outcome:
    """What a flow did.

    Attributes:
        sentence: for the state's message.
        ran: the stages that ran.
    """

    sentence: str
    ran: list[str] = field(default_factory=list)


def run_name() -> str:
    """What Prefect calls a run: ``refresh digits 2026-11-25 03:00``, in local time."""
    run = runtime.flow_run
    project = Path(run.parameters.get("project") or "")
    try:
        name = slug(project)
    except UserError:  # the flow itself will say so
        name = project.resolve().name
    return f"{run.flow_name} {name} {run.scheduled_start_time.astimezone():%Y-%m-%d %H:%M}"


def unattended(project: Path, work: Callable[[], Outcome]) -> State:
    """Does a flow's work: after other flows in this folder, and to an end that says why.

    What a user can mend ends as Failed with the message as it is; anything else is raised for Prefect to show.
    """
    hush()
    if not (project / "dvc.yaml").is_file():
        return Failed(message=f"{project.resolve()}: no dvc.yaml here; name the folder that holds it")
    with ending_with(_worker(), SECONDS_TO_END), in_turn(project):
        try:
            outcome, verdict = work(), _figures(project, "utility").get("verdict")
        except httpx.TransportError as error:
            return Crashed(message=f"Prefect's server does not answer ({error}); run it again")
        except (UserError, TimeoutError) as error:
            emit(RUN_FINISHED, project, {"outcome": "failed", "reason": str(error)})
            return Failed(message=str(error))
        emit(
            RUN_FINISHED,
            project,
            {"outcome": "completed" if outcome.ran else "nothing to do", "stages": outcome.ran} | {"verdict": verdict},
        )
        return Completed(message=outcome.sentence)


def _worker() -> list[int]:
    """The process that started this flow, to end with it; none if that was by hand, as a flow may outlive a shell.

    A worker that is stopped or killed leaves its flows to themselves, where nobody can cancel them; it may have been
    while this one was starting.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return []
    return [GONE if adopted(STARTED_BY_WORKER) else os.getppid()]


@contextmanager
def in_turn(project: Path) -> Iterator[None]:
    """Waits until no other flow works in this folder, and keeps others waiting while the body runs."""
    with ExitStack() as stack:
        waiting = False
        while True:
            try:
                stack.enter_context(alone(Workspace(project).scratch / "flow.lock", "a flow"))
                break
            except BusyError as busy:
                if not waiting:
                    get_run_logger().info("waiting: %s", busy)
                waiting = True
                time.sleep(SECONDS_BETWEEN_TRIES)
        yield


def bring_up_to_date(project: Path, targets: list[str], force: bool, limits: Limits, base_url: str) -> Outcome:
    """Runs what DVC says is out of date, one task a stage, and publishes what came out.

    Raises:
        UserError: a stage failed, or took too long.
    """
    names = dvc.stages(project, targets)
    pending = names if force else dvc.out_of_date(project, names)
    if not pending:
        return Outcome(f"Nothing to do: all of {', '.join(names)} are up to date")
    last, ran = artifacts.last_figures(project), []
    for stage in names[names.index(pending[0]) :]:
        if force or dvc.out_of_date(project, [stage]):
            _run(stage, project, force, limits)
            ran.append(stage)
    figures = read(Workspace(project))
    artifacts.publish(project, figures, last, base_url)
    before, verdict = last.get("utility.verdict"), figures.get("utility.verdict")
    if before and verdict != before:
        emit(VERDICT_CHANGED, project, {"before": before, "verdict": verdict})
    return Outcome(f"Ran {', '.join(ran)}" + (f"; the verdict is {verdict}" if "classify" in ran else ""), ran)


def _run(stage: str, project: Path, force: bool, limits: Limits) -> None:
    options = limits.options(stage)
    tags = {TRAINER_TAG} if stage.rpartition(":")[2].partition("@")[0] in TRAINING else set()
    try:
        done(run_stage.with_options(tags=tags, **options)(stage, project, force))
    except TimeoutError:
        hours = options["timeout_seconds"] / 3600
        raise UserError(f"{stage}: stopped after {hours:g} hours; the next run goes on with it") from None
    except UserError as error:
        if stage == "export" and (gates := _failed_gates(project)):
            emit(GATE_FAILED, project, {"reason": str(error), "gates": gates})
        raise


@task(task_run_name="{stage}", cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def run_stage(stage: str, project: Path, force: bool) -> None:
    """Runs one stage by `dvc repro`.

    Raises:
        BusyError: it failed for a reason that may pass by itself.
        UserError: it failed.
    """
    output = Output(project, stage)
    forced = ["--force"] if force else []
    code = run_guarded([*dvc.DVC, "repro", "--single-item", *forced, stage], project, output.take)
    if code:
        raise dvc.failure(list(output.lines), code)


def _failed_gates(project: Path) -> list[dict[str, Any]]:
    """Those that the export tells of; none where it stopped as there are no figures to go by."""
    with suppress(UserError):
        return [gate for gate in _figures(project, "quality").get("gates", []) if not gate["passed"]]
    return []


def _figures(project: Path, name: str) -> dict[str, Any]:
    """Empty where there are none.

    Raises:
        UserError: they were edited.
    """
    workspace = Workspace(project)
    return read_figures(workspace, name) if os.path.lexists(workspace.metrics(name)) else {}
