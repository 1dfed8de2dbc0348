"""``augmint serve``: a Prefect server of one's own, and what runs the flows. Imports no Prefect: it sets Prefect up.

This process holds two others by guards (:mod:`pipeline.flows.guard`): the server, and the one that runs the flows,
which imports Prefect while the server starts. However this process ends, they and all that they started end.
"""

import os
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError

from pipeline.errors import BusyError, UserError
from pipeline.flows import guard, ui
from pipeline.flows.served import Served, held
from pipeline.workspace import Workspace

PRIVATE = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    # the automation that ends dead runs waits for two of them
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # a server that is started anew knows who holds which slot, and releases those of the dead
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
PREFECT = (sys.executable, "-m", "prefect")
FLOWS = (sys.executable, "-P", "-m", "pipeline.cli", "serve-flows")
SECONDS_TO_START = 120.0
SECONDS_TO_ANSWER = 15.0  # of a server that runs already
SECONDS_BETWEEN_LOOKS = 2.0
SILENT_LOOKS = 3  # after so many, a server is gone


def serve(cron: str | None, timezone: str, host: str, port: int, worker: bool, public_url: str = "") -> None:
    """Serves the project in this folder until it is interrupted.

    Args:
        cron: when ``refresh`` runs; ``None`` for by hand alone.
        timezone: of ``cron``, such as Europe/Berlin.
        host: where a new server listens.
        port: the same. ``PREFECT_API_URL`` in the environment names a server that runs already; none is started then.
        worker: deploy prefect.yaml and start a worker, rather than run the flows from a process of ours.
        public_url: where browsers reach a new server; see :func:`pipeline.flows.ui.address`.

    Raises:
        UserError: a schedule cannot be, the server did not start, or the deployments are refused.
        BusyError: this folder is served already, or what ran the flows was killed.
    """
    if public_url and os.environ.get("PREFECT_API_URL"):
        raise UserError("--public-url: is of a server that is started here, but PREFECT_API_URL names one; unset it")
    at = ui.address(host, port, public_url)
    for name, value in PRIVATE.items():
        os.environ.setdefault(name, value)
    planned = _checked(cron, timezone, worker)
    code = 0
    with ExitStack() as stack, suppress(KeyboardInterrupt):  # which is how it is meant to end
        note = stack.enter_context(held())
        server = Server(at, host, port, stack)
        chosen = ["--worker"] if worker else ["--cron", cron, "--timezone", timezone] if cron else []
        flows = stack.enter_context(_held([*FLOWS, *chosen]))
        server.wait()
        note.write(Served(server.api, server.pages, worker))
        print(f"Prefect's UI: {server.pages}", *planned, sep="\n", flush=True)
        code = _watch(flows, server)
    if code:
        raise SystemExit(code)


def _checked(cron: str | None, timezone: str, worker: bool) -> list[str]:
    """What is said of the schedules, which are checked before anything is started.

    Raises:
        UserError: Prefect would not take one.
    """
    if worker and cron is not None:
        raise UserError("--cron: with --worker the schedules stand in prefect.yaml; write it there")
    from pipeline.flows import timing

    timing.check_timezone(timezone, "--timezone")
    if cron is not None:
        timing.check_cron(cron, "--cron")
        return [f"refresh: {timing.next_firings(cron, timezone)}"]
    if worker:
        timing.check_project(Path())
        return list(timing.announced(Path()))
    return []


def _watch(flows: subprocess.Popen[bytes], server: "Server") -> int:
    """The exit code of what runs the flows, which has said why it ended; meanwhile there is always a server.

    Raises:
        BusyError: it was killed.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = flows.wait(SECONDS_BETWEEN_LOOKS)
            break
        server.look()
    if code > 128:
        raise BusyError(f"what runs the flows was killed (exit code {code}); its runs were ended: start it again")
    return code


class Server:
    """The server that is named or runs there already; or one of our own, from when there is none.

    Attributes:
        api: the address of its API.
        pages: where browsers see it.
    """

    def __init__(self, at: ui.Address, host: str, port: int, stack: ExitStack) -> None:
        named = os.environ.get("PREFECT_API_URL", "")
        self.api, self.pages = (named, named.removesuffix("/api")) if named else (at.api, at.pages)
        self._named, self._at, self._place, self._stack = bool(named), at, (host, str(port)), stack
        self._own: subprocess.Popen[bytes] | None = None
        self._silent = 0
        self._log = Workspace().scratch / "server.log"
        os.environ["PREFECT_API_URL"] = self.api
        if not named and not answers(self.api):
            self._start()

    def wait(self) -> None:
        """Returns when it answers.

        Raises:
            UserError: it does not.
        """
        end = time.monotonic() + (SECONDS_TO_START if self._own else SECONDS_TO_ANSWER)
        while not answers(self.api):
            if self._own is None and time.monotonic() > end:
                raise UserError(f"PREFECT_API_URL: no server answers at {self.api}; start it, or name another")
            if self._own and (self._own.poll() is not None or time.monotonic() > end):
                where = ":".join(self._place)
                raise UserError(f"{self._log}: the server did not start on {where}; its last lines say why")
            time.sleep(0.1)
        if self._own:
            ui.keep_private(Path(os.environ["PREFECT_UI_STATIC_DIRECTORY"]))

    def look(self) -> None:
        """Starts one if there is none any more, as the ``augmint serve`` of another project took its own with it.

        Raises:
            UserError: it does not start.
        """
        self._silent = 0 if self._named or answers(self.api) else self._silent + 1
        if self._silent >= SILENT_LOOKS and (self._own is None or self._own.poll() is not None):
            self._silent = 0
            self._start()
            self.wait()

    def _start(self) -> None:
        for name, value in ui.environment(self._at).items():
            os.environ.setdefault(name, value)
        host, port = self._place
        command = [*PREFECT, "server", "start", "--host", host, "--port", port]
        self._own = self._stack.enter_context(_held(command, self._log))


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


def answers(url: str) -> bool:
    """Whether a Prefect server's API is there."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        return error.code in (401, 403)  # it wants a password, which Prefect's own client knows
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # likewise of certificates
    except OSError:
        return False
