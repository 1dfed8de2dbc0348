"""What the flows tell Prefect's automations. docs/prefect.md names the events and what they hold."""

from pathlib import Path
from typing import Any

from prefect.events import emit_event

from pipeline.flows.names import slug

RUN_FINISHED = "augmint.run.finished"
GATE_FAILED = "augmint.gate.failed"
VERDICT_CHANGED = "augmint.verdict.changed"


def resource_id(project: Path) -> str:
    """What the events call ``project``.

    Raises:
        UserError: its prefect.yaml cannot be read.
    """
    return f"augmint.project.{slug(project)}"


def emit(event: str, project: Path, payload: dict[str, Any]) -> None:
    """Emits one of the events above about ``project``; Prefect adds the flow run to it."""
    resource = {
        "prefect.resource.id": resource_id(project),
        "prefect.resource.name": project.resolve().name,
        "augmint.folder": str(project.resolve()),
    }
    emit_event(event, resource, payload=payload)
