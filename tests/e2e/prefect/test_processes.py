"""No run leaves a process behind, however it ends, and the next one goes on from where it stood."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Project
from tests.e2e.prefect.conftest import (
    PATIENCE,
    Program,
    Server,
    start_worker,
    state_of,
    trainers_in,
    wait_for,
    working_in,
)

pytestmark = pytest.mark.timeout(1500)  # several waits, each with patience of its own
SECONDS_TO_STOP = 30.0  # the guard's own bound; a training in good health takes one
TWO_MINUTES = 120.0


def start(server: Server, project: Project, kind: str) -> Program:
    """What runs flows: a worker, or `augmint serve`."""
    if kind == "worker":
        return start_worker(server, project.root)
    process = server.start(project.root, "augmint", "serve")
    wait_for("augmint serve", lambda: server.deployment("augment/endless"))
    return process


@pytest.fixture
def runner(server: Server, endless: Project, request: pytest.FixtureRequest) -> Iterator[Program]:
    """A worker or `augmint serve`, ended with the test."""
    process = start(server, endless, request.param)
    yield process
    process.kill()
    wait_for("the end of what it ran", lambda: not working_in(endless.root), PATIENCE)


def train(server: Server, project: Project) -> str:
    """A run of which the training is in work and has taken up the state of the one before."""
    before = state_of(project).exists()
    run = server.begin("augment/endless", targets=["train"])
    server.see(run, "the training", lambda: trainers_in(project.root) and state_of(project).exists())
    if before:
        server.see(run, "the old state", lambda: "train: goes on from" in server.logs(run))
    return run


def ends_within_two_minutes(server: Server, run: str) -> str:
    """The type of a run's last state, by itself or by the automation."""
    return server.end(run, TWO_MINUTES)["type"]


@pytest.mark.parametrize("how", ["cancel", "SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("runner", ["worker", "serve"], indirect=True)
def test_the_end_of_a_run_is_the_end_of_its_processes(
    server: Server, endless: Project, runner: Program, how: str
) -> None:
    run = train(server, endless)
    if how == "cancel":
        server.cancel(run)
    else:
        os.kill(runner.pid, getattr(signal, how))
    wait_for("the end of all processes", lambda: not working_in(endless.root), SECONDS_TO_STOP)
    assert state_of(endless).exists()
    assert ends_within_two_minutes(server, run) == ("CANCELLED" if how == "cancel" else "CRASHED")
    if how == "cancel":
        assert server.task_runs(run)["train"]["state"]["type"] == "CANCELLED"
        wait_for("its last words", lambda: "Finished in state Cancelled" in server.logs(run), SECONDS_TO_STOP)
        assert server.errors(run) == []


@pytest.mark.parametrize("runner", ["worker"], indirect=True)
def test_of_two_runs_at_once_one_waits(server: Server, endless: Project, runner: Program) -> None:
    first = train(server, endless)
    same = server.begin("augment/endless", targets=["train"])
    other = server.begin("refresh/endless")
    server.see(same, "no slot of the deployment", lambda: server.state(same)["name"] == "AwaitingConcurrencySlot")
    server.see(other, "no turn in the folder", lambda: "a flow is in work in this folder (PID" in server.logs(other))
    assert trainers_in(endless.root) == 1
    server.cancel(other)
    server.cancel(first)
    server.see(same, "the second training", lambda: "train: goes on from" in server.logs(same))
    server.cancel(same)
    assert [server.end(run)["type"] for run in (first, same, other)] == ["CANCELLED"] * 3


@pytest.mark.parametrize("runner", ["worker"], indirect=True)
def test_a_stage_that_takes_too_long_is_stopped(server: Server, endless: Project, runner: Program) -> None:
    limits = {"stage_hours": {"train": 8 / 3600}}
    run = server.begin("augment/endless", targets=["train"], limits=limits)
    state = server.end(run)
    assert state["type"] == "FAILED"
    assert state["message"].startswith("train: stopped after 0.0022")
    assert not working_in(endless.root)
    assert server.task_runs(run)["train"]["state"]["name"] == "TimedOut"
    assert server.task_runs(run)["train"]["run_count"] == 1
