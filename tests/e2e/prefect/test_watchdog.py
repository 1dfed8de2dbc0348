"""What a killed worker took and did not begin is released, in every state that it may be caught in."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from pipeline.flows.server import lost_runs
from tests.e2e.prefect.conftest import Server, made, start_worker, wait_for

pytestmark = pytest.mark.timeout(1500)
HURRIED = "hurried"  # the tag of runs to which the automation gives 10 seconds, not 90


def test_a_run_that_a_killed_worker_took_is_ended_and_its_slot_is_free(server: Server, tmp_path: Path) -> None:
    with SyncPrefectClient(server.url) as client:
        automation = client.create_automation(lost_runs(HURRIED, timedelta(seconds=10)))
    worker = start_worker(server, made(tmp_path / "caught", command="sleep 60"))
    caught = server.begin("augment/caught", [HURRIED])
    wait_for("its being taken", lambda: server.state(caught)["name"] in ("Submitting", "Running"))
    os.kill(worker.pid, signal.SIGKILL)
    # as a worker leaves it that is killed a moment earlier
    taken = server.begin("refresh/caught", [HURRIED])
    server.post(f"/flow_runs/{taken}/set_state", state={"type": "PENDING"})
    assert server.slots("refresh/caught") == 1
    for run, deployment in ((caught, "augment/caught"), (taken, "refresh/caught")):
        assert server.end(run)["type"] == "CRASHED"
        wait_for("the slot", lambda name=deployment: server.slots(name) == 0)
    with SyncPrefectClient(server.url) as client:
        client.delete_automation(automation)
