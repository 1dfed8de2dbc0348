"""How a task ends: what a user can mend is its state's message, with no traceback in the log."""

import logging
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.exceptions import FailedRun, PrefectException, TerminationSignal
from prefect.results import ResultRecord
from prefect.states import Cancelled, Failed
from prefect.tasks import Task

from pipeline.errors import BusyError, UserError

P = ParamSpec("P")
T = TypeVar("T")
CANCELS = (StateType.CANCELLING, StateType.CANCELLED)


def plain(work: Callable[P, T]) -> Callable[P, "T | State[Any]"]:
    """The body of a task that returns how it failed or was cancelled, for :func:`done`; Prefect logs what is raised.

    Any other exception is a fault of ours, which the log should show in full.
    """

    @wraps(work)
    def told(*args: P.args, **options: P.kwargs) -> "T | State[Any]":
        try:
            return work(*args, **options)
        except UserError as error:
            return Failed(message=str(error), data=error)
        except TerminationSignal:
            if not _cancelled():
                raise
            return Cancelled(message="Cancelled; what it had done is kept, and the next run goes on with it")

    return told


def done(result: "T | State[Any]") -> T:
    """What a task's :func:`plain` body returned.

    Raises:
        UserError: that with which it failed.
        TerminationSignal: the run was cancelled.
    """
    if not isinstance(result, State):
        return result
    if result.type in CANCELS:
        raise TerminationSignal(signal.SIGTERM)
    raise _reason(result) or UserError(result.message or "failed without a word")


def may_pass(_: "Task[..., Any]", run: TaskRun, state: "State[Any]") -> bool:  # noqa: ARG001
    """Prefect's question whether a failed task is tried again."""
    return isinstance(_reason(state), BusyError)


def hush() -> None:
    """Keeps Prefect from logging what a state says already, once more and with a traceback, or as an error."""
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(_worth_saying)


def _worth_saying(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], FailedRun):  # Prefect raises what a flow returned as Failed
        return False
    if record.levelno == logging.ERROR and record.getMessage().startswith("Finished in state Cancelled"):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


def _reason(state: "State[Any]") -> UserError | None:
    """The error that a failed state carries."""
    data = state.data.result if isinstance(state.data, ResultRecord) else state.data
    return data if isinstance(data, UserError) else None


def _cancelled() -> bool:
    """Whether somebody asked for the end of this run; its worker may have been stopped instead."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(runtime.flow_run.id).state
    except (PrefectException, httpx.HTTPError):
        return False
    return state is not None and state.type in CANCELS
