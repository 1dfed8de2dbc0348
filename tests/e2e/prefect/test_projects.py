"""Several projects on one server: each has its own deployments, and its runs are at work in its own folder."""

from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient

from pipeline.errors import UserError
from pipeline.flows.server import claim
from tests.e2e.prefect.conftest import Server, made, start_worker, wait_for

pytestmark = pytest.mark.timeout(1500)
FLOWS = ("refresh", "augment", "export_set", "sweep", "study")


def test_served_projects_keep_to_themselves(server: Server, tmp_path: Path) -> None:
    first, second, same = (made(tmp_path / name) for name in ("a/shelf", "a/drawer", "b/shelf"))
    one, other = (server.start(folder, "augmint", "serve") for folder in (first, second))
    for folder in (first, second):
        wait_for(f"augmint serve in {folder}", lambda name=folder.name: server.deployment(f"study/{name}"))
    runs = {folder: server.begin(f"augment/{folder.name}") for folder in (first, second)}
    refused = server.attempt(same, "augmint", "serve")
    assert refused.returncode == 2, refused.stdout
    message = " ".join(refused.stdout.split())
    assert str(first) in message and str(same) in message and "Traceback" not in message
    for folder, run in runs.items():  # each in its own folder, named and tagged by it
        assert server.end(run)["message"] == "Ran train"
        assert (folder / "out").read_text().strip() == str(folder)
        told = server.ask("GET", f"/flow_runs/{run}").json()
        assert told["name"].startswith(f"augment {folder.name} 20")
        assert {*told["tags"]} == {"augmint", folder.name}
    assert "augment/shelf" in server.run(first, "augmint", "serve", "status")
    assert "has ended" in server.run(first, "augmint", "serve", "stop")
    assert one.guard.wait() == 0
    assert all(server.deployment(f"{flow}/shelf")["paused"] for flow in FLOWS)
    assert not any(server.deployment(f"{flow}/drawer")["paused"] for flow in FLOWS)
    assert other.guard.poll() is None
    other.kill()


def test_a_worker_of_no_project_runs_each_in_its_folder_and_flows_work_elsewhere(
    server: Server, tmp_path: Path
) -> None:
    box = made(tmp_path / "b" / "box", "other box")
    sibling, below = made(tmp_path / "a" / "box"), made(box / "deep" / "down")
    worker = start_worker(server, box)
    assert server.deployment("augment/other-box")["work_queue_name"] == "other-box"
    # of two deployments, as one of them runs one at a time
    runs = {
        box: server.begin("refresh/other-box"),
        sibling: server.begin("augment/other-box", project="../../a/box"),
        below: server.begin("augment/other-box", project="deep/down"),
    }
    for folder, run in runs.items():
        assert server.end(run)["message"] == "Ran train", server.state(run)
        assert (folder / "out").read_text().strip() == str(folder)
        assert "augmint-trainer" in server.task_runs(run)["train"]["tags"]
    worker.kill()


def test_a_name_belongs_to_one_folder(server: Server, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name / "Tin box" for name in "abc")
    for folder in (first, second, third):
        folder.mkdir(parents=True)
    with SyncPrefectClient(server.url) as client:
        claim(client, first)
        claim(client, first)
        with pytest.raises(UserError, match="tin-box") as refused:
            claim(client, second)
        assert str(first) in str(refused.value) and str(second) in str(refused.value)
        (second / "prefect.yaml").write_text("name: Another box\n")
        claim(client, second)
        first.rmdir()  # moved: its name is free for others
        claim(client, third)
        with pytest.raises(UserError, match="tin-box"):
            claim(client, first)
