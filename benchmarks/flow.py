"""A run of the flow ``augment`` against a running server, beside plain ``dvc repro``: what Prefect costs.

    python benchmarks/flow.py

On a project of five stages that do nothing, so that all of the time is overhead: with every stage up to date, and with
the last one to run. The server has a home of its own, on a free loopback port; its start is not counted. The runs take
turns, each in a new process, and the median of the rounds counts.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROUNDS = 3
STAGES = ("ingest", "train", "evaluate", "export", "classify")
FLOW = "from pathlib import Path; from pipeline.flows.augment import augment; augment(Path.cwd())"
RUNS = {"dvc repro": ["-m", "dvc", "repro"], "flow": ["-c", FLOW]}


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        port = _free_port()
        project, environment = _project(root / "project"), _environment(root / "home", port)
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _run(RUNS["dvc repro"], project, environment)
            _run(RUNS["flow"], project, environment, patience=60)
            table = Table("", *RUNS, "difference", "ratio", title=f"seconds, median of {ROUNDS}")
            for case in ("all up to date", "one stage to run"):
                seconds = _measured(project, environment, change=case != "all up to date")
                plain, flow = seconds["dvc repro"], seconds["flow"]
                table.add_row(case, f"{plain:.1f}", f"{flow:.1f}", f"{flow - plain:.1f}", f"{flow / plain:.1f} x")
        finally:
            server.terminate()
            server.wait()
    Console().print(table)


def _measured(project: Path, environment: dict[str, str], change: bool) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    for number in range(ROUNDS):
        for name, command in RUNS.items():
            if change:
                (project / f"{STAGES[-1]}.source").write_text(f"{name} {number}\n")
            began = time.perf_counter()
            _run(command, project, environment)
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _run(command: list[str], project: Path, environment: dict[str, str], patience: float = 0.0) -> None:
    """Runs it to its end; again, for so many seconds, while the server is still starting."""
    end = time.monotonic() + patience
    while True:
        done = subprocess.run([sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return
        if time.monotonic() > end:
            raise SystemExit(done.stderr)
        time.sleep(1)


def _project(root: Path) -> Path:
    """A chain of stages, each of which copies its source."""
    root.mkdir()
    lines = ["stages:"]
    for before, name in zip((None, *STAGES), STAGES, strict=False):
        (root / f"{name}.source").write_text("0\n")
        depends = f"{name}.source" + (f", {before}.out" if before else "")
        lines += [f"  {name}:", f"    cmd: cp {name}.source {name}.out", f"    deps: [{depends}]"]
        lines += [f"    outs: [{name}.out]"]
    (root / "dvc.yaml").write_text("\n".join(lines) + "\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    return root


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _environment(home: Path, port: int) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
    }


if __name__ == "__main__":
    main()
