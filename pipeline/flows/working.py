"""What `augmint serve` starts beside the server: a runner of deployments, or a worker for those of prefect.yaml."""

import asyncio
import contextlib
import io
import logging
import sys
import time
from pathlib import Path

from prefect.cli import app
from prefect.runner import Runner

from pipeline.errors import UserError
from pipeline.flows.deployments import deployments
from pipeline.flows.names import slug
from pipeline.flows.prefect_yaml import FILE
from pipeline.flows.server import ensure_pool, prepare
from pipeline.flows.serving import answers

POOL = "augmint"
# these tell once a second that a run which waits for its turn is still waiting
TALKERS = ("prefect.flow_runs.worker", "prefect.runner.state_proposer")
SECONDS_BETWEEN_LOOKS = 0.1


def wait_for(url: str) -> None:
    """Returns when the server answers, for which `augmint serve` has a limit."""
    while not answers(url):
        time.sleep(SECONDS_BETWEEN_LOOKS)


def run_flows(cron: str | None, timezone: str) -> None:
    """Runs the flows of the project in this folder, as the server says, until it is interrupted.

    Raises:
        UserError: another folder has the project's name.
    """
    project = Path().resolve()
    prepare()
    runner = Runner()
    for deployment in deployments(project, cron, timezone):
        runner.add_deployment(deployment)
    _say_ready(project)
    asyncio.run(runner.start())


def run_worker() -> None:
    """Deploys the prefect.yaml of this folder, and runs the flows by a worker until it is interrupted.

    Raises:
        UserError: there is none, it cannot be deployed, or another folder has the project's name.
    """
    project = Path().resolve()
    if not (project / FILE).is_file():
        raise UserError(f"{project / FILE}: not there; a worker needs it, `augmint serve` without --worker does not")
    prepare()
    ensure_pool(POOL)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = _prefect("--no-prompt", "deploy", "--all")
    if code:
        raise UserError(f"{project / FILE}: could not be deployed:\n{said.getvalue().strip()}")
    _say_ready(project)
    _prefect("worker", "start", "--pool", POOL, "--type", "process", "--work-queue", slug(project))


def _say_ready(project: Path) -> None:
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    print(f"augmint: ready; the deployments are called {slug(project)}: refresh/{slug(project)}, ...", flush=True)


def _prefect(*command: str) -> int:
    """Runs one of Prefect's commands within this process, which has its modules already."""
    sys.argv = ["prefect", *command]
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
