"""A real Prefect server with a home of its own, on a free loopback port, and real workers."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import httpx
import psutil
import pytest
from dvc.repo import Repo

from pipeline.flows import guard, serving, ui
from pipeline.flows.names import slug
from tests.e2e.conftest import REPOSITORY, Project

PATIENCE = 400.0  # seconds; nothing here takes a tenth of it on an idle machine, and a run that ended ends a wait
POLL = 0.2
PAGE = 200  # the API's own limit
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def wait_for(what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true value that ``look`` gives."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"waited {patience:.0f} s for {what}"
        time.sleep(POLL)
    return found


class Program:
    """A program held by a guard, as a stage is: it ends with the tests even if those are killed.

    Attributes:
        pid: of the program itself.
    """

    def __init__(self, command: tuple[str, ...], folder: Path, environment: dict[str, str], log: IO[bytes]) -> None:
        self.guard = subprocess.Popen(
            [sys.executable, "-P", guard.__file__, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        self.pid = wait_for("the program", psutil.Process(self.guard.pid).children)[0].pid

    def kill(self) -> None:
        """Ends it and its process group at once, if it has not ended."""
        if self.guard.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.guard.wait()


class Server:
    """The server's API, and the programs that a user would start beside it."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        at = ui.address("127.0.0.1", self.port)
        self.url, self.ui = at.api, at.pages
        self.environment = (
            os.environ
            | ui.environment(at)
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PREFECT_HOME": str(home),
                "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
                **serving.PRIVATE,
                "PREFECT_API_URL": self.url,
                "PREFECT_WORKER_QUERY_SECONDS": "1",
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                # what finds no free slot asks again after a second, not after half a minute
                "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
                "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
                "OMP_NUM_THREADS": "1",
            }
        )
        self.home = home
        # a connection a request: a busy server closes those that are kept, just as the next request goes out on one
        self.api = httpx.Client(base_url=self.url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
        self.started: list[Program] = []
        self.start(home, "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        wait_for("the server", self.answers)
        ui.keep_private(home / "ui")

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            return self.api.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def start(self, folder: Path, *command: str) -> Program:
        """Starts a program that ends with the tests at the latest, however those end."""
        with (self.home / "output.log").open("ab") as log:
            program = Program(command, folder, self.environment, log)
        self.started.append(program)
        return program

    def attempt(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end, however that is; its error output is in ``stdout`` too."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.run(command, cwd=folder, env=self.environment, text=True, check=False, **streams)

    def run(self, folder: Path, *command: str) -> str:
        """Runs a program to its end."""
        done = self.attempt(folder, *command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def stop(self) -> None:
        """Ends everything."""
        for program in reversed(self.started):
            program.kill()
        self.api.close()

    # What the API says ------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Asks the API, again while it does not answer or its database is busy (503), as Prefect's own client does.

        So a request may arrive twice, and must be one that does no harm then.
        """

        def answered() -> httpx.Response | None:
            try:
                answer = self.api.request(method, path, **content)
            except httpx.TransportError:
                return None
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer: httpx.Response = wait_for(f"an answer to {method} {path}", answered)
        return answer

    def post(self, path: str, **content: Any) -> Any:
        """What the API answers; see :meth:`ask`."""
        answer = self.ask("POST", path, json=content)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def pages(self, path: str, **content: Any) -> list[dict[str, Any]]:
        """All of what a filter finds; an answer holds :data:`PAGE` of it."""
        found: list[dict[str, Any]] = []
        while len(part := self.post(path, offset=len(found), limit=PAGE, **content)) == PAGE:
            found += part
        return found + part

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment called ``flow/name``; empty if there is none."""
        answer = self.ask("GET", f"/deployments/name/{name}")
        return answer.json() if answer.is_success else {}

    def begin(self, deployment: str, tags: Sequence[str] = (), **parameters: Any) -> str:
        """Starts a run of a deployment; returns its id. A request that arrives twice starts one."""
        found = self.deployment(deployment)
        content = {"parameters": parameters, "idempotency_key": str(uuid4()), "tags": [*found["tags"], *tags]}
        return self.post(f"/deployments/{found['id']}/create_flow_run", **content)["id"]

    def state(self, run: str) -> dict[str, Any]:
        """A run's state: ``type``, ``name``, ``message``."""
        answer = self.ask("GET", f"/flow_runs/{run}")
        assert answer.is_success, answer.text
        return answer.json()["state"]

    def see(self, run: str, what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """The first true value that ``look`` gives of a run; at the latest when the run has ended.

        If there is none, it fails with the run's state and what it logged last.
        """
        end = time.monotonic() + patience
        while True:
            over = self.state(run)["type"] in FINAL or time.monotonic() > end  # before the last look
            if found := look():
                return found
            if over:
                break
            time.sleep(POLL)
        lines = self.logs(run).splitlines()[-20:]
        pytest.fail(
            "\n".join([f"{what}: not seen. Run {run}: {self.state(run)}", *lines, f"See {self.home}/output.log"])
        )

    def end(self, run: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The state in which a run ends."""

        def ended() -> dict[str, Any] | None:
            state = self.state(run)
            return state if state["type"] in FINAL else None

        return self.see(run, "its end", ended, patience)

    def cancel(self, run: str) -> None:
        """Cancels a run, as the UI does."""
        self.post(f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})

    def logs(self, run: str) -> str:
        """What a run logged so far."""
        found = self.pages("/logs/filter", logs={"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC")
        return "\n".join(entry["message"] for entry in found)

    def errors(self, run: str) -> list[str]:
        """What a run logged so far as an error."""
        found = self.pages("/logs/filter", logs={"flow_run_id": {"any_": [run]}, "level": {"ge_": logging.ERROR}})
        return [entry["message"] for entry in found]

    def idle(self) -> bool:
        """Whether no run is in work or due."""
        due = {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}}
        kinds = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}}
        return not self.post("/flow_runs/filter", flow_runs=due | kinds)

    def task_runs(self, run: str) -> dict[str, dict[str, Any]]:
        """A run's tasks by name."""
        found = self.post("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return {task["name"]: task for task in found}

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """A run's artifacts by key."""
        found = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})
        return {artifact["key"]: artifact for artifact in found}

    def slots(self, deployment: str) -> int:
        """How many slots of a deployment's limit are taken."""
        name = f"deployment:{self.deployment(deployment)['id']}"
        found = self.post("/v2/concurrency_limits/filter")
        return sum(limit["active_slots"] for limit in found if limit["name"] == name)

    def event(self, name: str, run: str) -> dict[str, Any]:
        """The event of that name that a run emitted; it may arrive after the run's end."""
        wanted = {"event": {"name": [name]}, "related": {"id": [f"prefect.flow-run.{run}"]}}
        return wait_for(name, lambda: self.post("/events/filter", filter=wanted)["events"])[0]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    try:
        yield server
    finally:
        server.stop()


def copy_of(finished: Project, folder: Path) -> Project:
    """A project that is up to date, with this repository's deployments."""
    shutil.copytree(finished.root, folder, symlinks=True)
    shutil.copy(REPOSITORY / "prefect.yaml", folder)
    return Project(folder)


@pytest.fixture(scope="session")
def endless(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which nothing but ``train`` is out of date, and takes days."""
    project = copy_of(finished, tmp_path_factory.mktemp("endless") / "endless")
    project.edit("train", kimg=100_000)
    return project


def made(folder: Path, name: str = "", command: str = "pwd > out") -> Path:
    """A project whose one stage, ``train``, writes which folder it is at work in."""
    folder.mkdir(parents=True)
    Repo.init(str(folder), no_scm=True).close()
    (folder / "dvc.yaml").write_text(f"stages:\n  train: {{cmd: {command}, outs: [out]}}\n")
    (folder / "params.yaml").write_text("seed: 1\n")
    deployments = (REPOSITORY / "prefect.yaml").read_text()
    (folder / "prefect.yaml").write_text(f"name: {name}\n{deployments}" if name else deployments)
    return folder


def deploy(server: Server, folder: Path) -> None:
    """Deploys prefect.yaml as a user would, unless that has been done."""
    if server.deployment(f"augment/{slug(folder)}").get("work_pool_name"):
        return
    if server.ask("GET", "/work_pools/augmint").status_code == httpx.codes.NOT_FOUND:
        server.run(folder, "prefect", "work-pool", "create", "augmint", "--type", "process")
    server.run(folder, "prefect", "--no-prompt", "deploy", "--all")


def start_worker(server: Server, folder: Path) -> Program:
    """A worker for the deployments of prefect.yaml."""
    deploy(server, folder)
    return server.start(server.home, "prefect", "worker", "start", "--pool", "augmint", "--type", "process")


def commands_in(folder: Path) -> list[list[str]]:
    """The command lines of all processes at work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def working_in(folder: Path) -> bool:
    """Whether a stage runs in a folder: a guard, dvc, a shell of dvc's or the trainer."""
    lines = [" ".join(command) for command in commands_in(folder)]
    return any(kind in line for line in lines for kind in ("dvc repro", "augmint train"))  # a guard names its ward


def trainers_in(folder: Path) -> int:
    """How many trainings run in a folder; the shell that dvc starts them by is none."""
    return sum(
        Path(program).name == "augmint" and argument == "train"
        for command in commands_in(folder)
        for program, argument in pairwise(command)
    )


def state_of(project: Project) -> Path:
    """The resumable state of a training."""
    return project.root / ".augmint" / "train" / "state.safetensors"
