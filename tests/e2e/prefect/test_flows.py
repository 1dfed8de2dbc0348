"""The flows on a real server with a real worker: what they run, say and leave."""

import fcntl
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import Project
from tests.e2e.prefect.conftest import Program, Server, copy_of, start_worker, wait_for

pytestmark = pytest.mark.timeout(1500)  # several waits, each with patience of its own


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is up to date and committed. What a test changes is undone after it."""
    project = copy_of(finished, tmp_path_factory.mktemp("flows") / "Tile set")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "Up to date")
    return project


@pytest.fixture(scope="module", autouse=True)
def worker(server: Server, project: Project) -> Iterator[Program]:
    """A worker for all tests of this file."""
    process = start_worker(server, project.root)
    yield process
    process.kill()


@pytest.fixture(autouse=True)
def _restored(server: Server, project: Project) -> Iterator[None]:
    """The project as it was committed, after each test, of which nothing is left in work."""
    yield
    wait_for("the end of all runs", server.idle)
    project.run("git", "checkout", "--quiet", "--", ".")
    project.run("dvc", "checkout", "--quiet", "--force")


def augment(server: Server, project: Project, **parameters: Any) -> str:
    """A run of ``augment`` that has ended."""
    run = server.begin("augment/tile-set", **parameters)
    server.end(run)
    return run


def scheduled(server: Server, deployment: str) -> list[dict[str, Any]]:
    """The runs that the schedule has started and that have ended, the first one first."""
    found = server.post(
        "/flow_runs/filter",
        flow_runs={"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["COMPLETED", "FAILED"]}}},
        sort="START_TIME_ASC",
    )
    return [run for run in found if run["auto_scheduled"]]


def test_a_scheduled_run_leaves_its_artifacts_and_the_next_finds_nothing_to_do(
    server: Server, project: Project
) -> None:
    project.edit("evaluate", repeats=4)
    deployment = server.deployment("augment/tile-set")["id"]
    # two days of it made up for, both due at once. No third run can come late and meet what later tests do
    now = datetime.now(UTC)
    schedule = {
        "schedule": {"interval": timedelta(days=1).total_seconds(), "anchor_date": now.isoformat()},
        "active": True,
        "slug": "daily",  # a request that arrives twice makes one
        "parameters": {"targets": ["evaluate"], "base_url": "http://127.0.0.1:8/tiles"},
    }
    made = server.ask("POST", f"/deployments/{deployment}/schedules", json=[schedule])
    assert made.is_success or made.status_code == httpx.codes.CONFLICT, made.text
    since, until = (now - timedelta(hours=25)).isoformat(), (now + timedelta(hours=1)).isoformat()
    server.post(f"/deployments/{deployment}/schedule", start_time=since, end_time=until)
    wait_for("two scheduled runs", lambda: len(scheduled(server, deployment)) == 2)
    first, second = scheduled(server, deployment)
    assert first["state"]["message"] == "Ran evaluate"
    assert second["state"]["message"] == "Nothing to do: all of ingest, train, evaluate are up to date"
    assert second["total_run_time"] < first["total_run_time"]
    artifacts = server.artifacts(first["id"])
    assert artifacts["tile-set-evaluate-progress"]["data"] == 100
    utility = json.loads((project.root / "metrics" / "utility.json").read_text())
    assert artifacts["tile-set-report"]["data"].startswith(f"# {utility['verdict']}")
    assert "http://127.0.0.1:8/tiles/report/index.html" in artifacts["tile-set-report"]["data"]
    assert "evaluate: comparing: 4/4 repeats" in server.logs(first["id"])
    assert project.run("dvc", "status", "--json", "evaluate").stdout.strip() == "{}"
    event = server.event("augmint.run.finished", first["id"])
    assert event["payload"] == {"outcome": "completed", "stages": ["evaluate"], "verdict": utility["verdict"]}


def test_what_a_user_can_mend_fails_at_once_with_the_reason_and_the_old_set_stays(
    server: Server, project: Project
) -> None:
    before = project.bytes_of("synthetic", "metrics")
    project.edit("export", balnce=3)
    run = augment(server, project)
    state = server.state(run)
    assert (state["type"], state["name"]) == ("FAILED", "Failed")
    assert state["message"].startswith("params.yaml:")
    assert "did you mean `balance`" in state["message"]
    assert server.task_runs(run)["export"]["run_count"] == 1
    assert server.event("augmint.run.finished", run)["payload"]["outcome"] == "failed"
    assert project.bytes_of("synthetic", "metrics") == before


def test_what_may_pass_is_tried_again(server: Server, project: Project) -> None:
    project.edit("train", grid_kimg=2)
    lock = project.root / ".augmint" / "train.lock"
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        limits = {"retries": 5, "retry_delay": 1}
        run = server.begin("augment/tile-set", targets=["train"], limits=limits)
        # by its state, which lasts a second or more
        waits = {"AwaitingRetry", "Retrying"}
        server.see(run, "the first repeat", lambda: server.task_runs(run).get("train", {}).get("state_name") in waits)
    assert server.end(run)["type"] == "COMPLETED"
    assert server.task_runs(run)["train"]["run_count"] >= 2
    assert "Retry 1/5" in server.logs(run)


def test_refresh_pulls_runs_pushes_and_commits(server: Server, project: Project, tmp_path: Path) -> None:
    project.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    project.edit("classify", steps=3)
    project.run("git", "commit", "-qam", "A remote, and fewer steps")
    run = server.begin("refresh/tile-set", commit=True)
    state = server.end(run)
    assert state["message"].endswith("committed dvc.lock"), state
    assert {"pull", "classify", "push", "commit"} <= {*server.task_runs(run)}
    changed = project.run("git", "show", "--name-only", "--format=%s").stdout.split("\n")
    assert changed[0].startswith("Refresh: Ran classify")
    assert {"dvc.lock", "metrics/utility.json"} <= {*changed}
    assert "params.yaml" not in changed
    assert project.run("dvc", "status", "--cloud", "--json").stdout.strip() == "{}"
    again = server.begin("refresh/tile-set", commit=True)
    assert server.end(again)["message"].startswith("Nothing to do")


def test_a_remote_that_does_not_answer_is_tried_again(server: Server, project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    project.run("dvc", "remote", "add", "--force", "--default", "shelf", str(tmp_path / "file" / "below"))
    run = server.begin("refresh/tile-set", limits={"retries": 1, "retry_delay": 0})
    state = server.end(run)
    assert state["type"] == "FAILED"
    assert state["message"].startswith("dvc push: ")  # a pull takes what is not there for missing
    assert server.task_runs(run)["push"]["run_count"] == 2


def test_export_set_writes_beside_the_project(server: Server, project: Project, tmp_path: Path) -> None:
    before = project.bytes_of("synthetic", "metrics", "dvc.lock")
    parameters = {"target": str(tmp_path / "set"), "classes": ["3", "8"], "count": 5, "counts": {"8": 7}}
    run = server.begin("export_set/tile-set", format="parquet", **parameters)
    assert server.end(run)["type"] == "COMPLETED"
    rows = pq.read_table(tmp_path / "set" / "manifest.parquet").to_pylist()
    made = [row["label"] for row in rows]
    assert (made.count("3"), made.count("8"), len(made)) == (5, 7, 12)
    assert project.bytes_of("synthetic", "metrics", "dvc.lock") == before
    assert project.run("dvc", "status", "--json").stdout.strip() == "{}"
    wrong = server.begin("export_set/tile-set", target="../other", classes=["ten"])
    assert server.end(wrong)["message"].startswith("classes: 'ten': no such class")


def test_a_sweep_compares_experiments_and_leaves_the_project_alone(server: Server, project: Project) -> None:
    before = project.bytes_of("models", "synthetic", "metrics", "params.yaml", "dvc.lock")
    sets = [{"evaluate.repeats": 5}, {"evaluate.repeats": 6}]
    run = server.begin("sweep/tile-set", sets=sets, targets=["evaluate"])
    assert server.end(run)["type"] == "COMPLETED", server.state(run)
    rows = json.loads(server.artifacts(run)["tile-set-sweep"]["data"])
    assert {row.get("evaluate.repeats") for row in rows} >= {5, 6}
    assert all("kid" in row for row in rows)
    assert project.bytes_of("models", "synthetic", "metrics", "params.yaml", "dvc.lock") == before


def test_the_deployments_bring_the_automation_the_limit_and_the_form(server: Server) -> None:
    names = {automation["name"] for automation in server.post("/automations/filter")}
    assert "augmint: end runs whose process is gone" in names
    limits = {limit["name"]: limit["limit"] for limit in server.post("/v2/concurrency_limits/filter")}
    assert limits["tag:augmint-trainer"] == 1
    nightly = server.deployment("refresh/tile-set")
    assert nightly["schedules"][0]["schedule"] == {"cron": "0 3 * * *", "timezone": "UTC", "day_or": True}
    form = server.deployment("augment/tile-set")["parameter_openapi_schema"]
    assert form["properties"]["force"]["type"] == "boolean"
    assert form["properties"]["targets"]["description"].startswith("Stages to bring up to date")
    assert form["definitions"]["Limits"]["properties"]["retries"]["maximum"] == 10
