"""What a program says, in Prefect: its lines in the log, its progress as an artifact that moves."""

import logging
import re
import time
from collections import deque
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from pipeline.flows.names import artifact_key
from pipeline.progress import Report

SECONDS_BETWEEN_LOG_LINES = 10.0
LINES_KEPT = 500  # enough to find why it failed
# What Prefect shows by itself (which stage runs, why it failed), DVC's advice to somebody at a terminal, and tables,
# whose figures the report holds; indented are their titles.
BESIDE = re.compile(
    r"Running stage '|> |Updating lock file |Generating lock file |To track the changes with git|\tgit add"
    r"|To enable auto staging|\tdvc config|Use `dvc push`|Stage '.*' (didn't change|is cached)|ERROR: "
    r"|[┏┃┡│├└╇┠┗╭╰]| {4}"
)
FAILED = "augmint: "  # from here on a stage says why it failed, which becomes the task's message


class Output:
    """Takes a program's lines within a task.

    Args:
        project: the folder in which it runs.
        name: of the program's work, as the artifact's key has it ("train").
    """

    def __init__(self, project: Path, name: str) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._log = get_run_logger()
        self._key = artifact_key(project, f"{name}-progress")
        self._artifact: UUID | None = None
        self._logged = 0.0
        self._failed = False

    def take(self, line: str) -> None:
        """Logs the line, or moves the progress that it reports; what says nothing new goes to DEBUG."""
        report = Report.loads(line)
        if report is None:
            self.lines.append(line)
            if line.strip():
                self._failed |= line.startswith(FAILED)
                self._log.log(logging.DEBUG if self._failed or BESIDE.match(line) else logging.INFO, line)
            return
        self._show(report)
        if time.monotonic() - self._logged >= SECONDS_BETWEEN_LOG_LINES or report.done >= report.total:
            self._log.info(report.line)
            self._logged = time.monotonic()

    def _show(self, report: Report) -> None:
        percent = 100 * report.done / max(report.total, 1)
        if self._artifact is None:
            created = create_progress_artifact(percent, self._key, report.line)
            assert isinstance(created, UUID)
            self._artifact = created
        else:
            update_progress_artifact(self._artifact, percent, report.line)
