"""Programs that a flow runs: none outlives its flow."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.flows import guard
from pipeline.flows.engine import chosen
from pipeline.progress import CHANNEL


def run_guarded(
    command: list[str], folder: Path, take: Callable[[str], None], further: Mapping[str, str] | None = None
) -> int:
    """Runs a program in ``folder`` to its end; ``take`` gets each line of its output, error output included.

    However this ends (an exception such as the one that a cancellation raises here, or the end of this process), the
    program and all that it started end within half a minute; see :mod:`pipeline.flows.guard`.

    Args:
        further: goes into its environment.

    Returns:
        The exit code; 128 and the signal's number when a signal ended it.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", guard.__file__, *command],
        cwd=folder,
        env={**_environment(), **(further or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # out of reach of what is sent to the flow's group: it ends by its pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            take(line.rstrip("\n"))
    finally:
        process.stdin.close()
        for line in process.stdout:  # its last words, as the guard ends it
            take(line.rstrip("\n"))
        process.stdout.close()
        code = process.wait()
    return code


def _environment() -> dict[str, str]:
    """This one with the flow's workers, this Python's programs, unbuffered output, and progress as JSON."""
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    # a log's lines are broken by who shows them, not at a terminal's width
    further = {"COLUMNS": os.environ.get("COLUMNS", "200")} | chosen()
    own = {"PATH": f"{folder}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1", CHANNEL: "json"}
    return os.environ | further | own
