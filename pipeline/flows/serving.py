"""``augmint serve``: a Prefect server of one's own, and what runs the flows. Imports no Prefect: it sets Prefect up."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from pipeline.errors import UserError
from pipeline.flows import guard, ui
from pipeline.workspace import Workspace

PRIVATE = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    # the automation that ends dead runs waits for two of them
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
POOL = "augmint"
PREFECT = (sys.executable, "-m", "prefect")
SECONDS_TO_START = 120.0


def serve(cron: str | None, timezone: str, host: str, port: int, worker: bool, public_url: str = "") -> None:
    """Serves the project in this folder until it is interrupted.

    Args:
        cron: when ``refresh`` runs; ``None`` for by hand alone.
        timezone: of ``cron``, such as Europe/Berlin.
        host: where a new server listens.
        port: the same. ``PREFECT_API_URL`` in the environment names a server that runs already; none is started then.
        worker: deploy prefect.yaml and start a worker, rather than run the flows from this process.
        public_url: where browsers reach a new server; see :func:`pipeline.flows.ui.address`.

    Raises:
        UserError: the server did not start, or prefect.yaml could not be deployed.
    """
    for name, value in PRIVATE.items():
        os.environ.setdefault(name, value)
    if worker and cron:
        raise UserError("--cron: with --worker the schedules stand in prefect.yaml; write it there")
    with _server(ui.address(host, port, public_url), host, port) as pages:
        print(f"Prefect's UI: {pages}", flush=True)
        if worker:
            _work()
        else:
            from pipeline.flows.deployments import serve_all  # Prefect reads the environment when it is imported

            serve_all(cron, timezone)


def _work() -> None:
    from pipeline.flows.server import ensure_pool

    ensure_pool(POOL)
    done = subprocess.run([*PREFECT, "--no-prompt", "deploy", "--all"], check=False)
    if done.returncode:
        raise UserError("prefect.yaml: could not be deployed; the lines above say why")
    with _held([*PREFECT, "worker", "start", "--pool", POOL, "--type", "process"]) as process:
        process.wait()


@contextmanager
def _server(at: ui.Address, host: str, port: int) -> Iterator[str]:
    """Where the server's pages are seen: of one that is named or runs already, or a new one that ends with the body."""
    named = os.environ.get("PREFECT_API_URL")
    if named or _answers(at.api):
        os.environ["PREFECT_API_URL"] = named or at.api
        yield named.removesuffix("/api") if named else at.pages
        return
    for name, value in ui.environment(at).items():
        os.environ.setdefault(name, value)
    log = Workspace().scratch / "server.log"
    log.parent.mkdir(exist_ok=True)
    with _held([*PREFECT, "server", "start", "--host", host, "--port", str(port)], log) as process:
        end = time.monotonic() + SECONDS_TO_START
        while not _answers(at.api):
            if process.poll() is not None or time.monotonic() > end:
                raise UserError(f"{log}: the server did not start on {host}:{port}; its last lines say why")
            time.sleep(0.2)
        ui.keep_private(Path(os.environ["PREFECT_UI_STATIC_DIRECTORY"]))
        os.environ["PREFECT_API_URL"] = at.api
        yield at.pages


@contextmanager
def _held(command: list[str], log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the body or, by its guard, with this process."""
    output = log.open("ab") if log else None
    process = subprocess.Popen(
        [sys.executable, "-P", guard.__file__, *command], stdin=subprocess.PIPE, stdout=output, start_new_session=True
    )
    if output:
        output.close()
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
