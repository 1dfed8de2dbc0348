"""Notices of a project's verdict, gates and failed runs, through a notification block of Prefect's."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import EventTrigger, ResourceSpecification
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.exceptions import ObjectNotFound

from pipeline.errors import UserError
from pipeline.flows import served
from pipeline.flows.events import GATE_FAILED, VERDICT_CHANGED, resource_id
from pipeline.flows.names import TAG, slug

NOTIFIES = "notify"  # the capability of such a block
FAILED = {f"prefect.flow-run.{state}" for state in ("Failed", "TimedOut", "Crashed")}
LINK = "{{ flow_run|ui_url }}"


class Notice(NamedTuple):
    """What is told of: its name, the events that bring it about, and Jinja templates of what is said."""

    what: str
    events: set[str]
    subject: str
    body: str


NOTICES = (
    Notice(
        *("the verdict changed", {VERDICT_CHANGED}, "the verdict is {{ event.payload.verdict }}"),
        "It was {{ event.payload.before }}.",
    ),
    Notice("a gate failed", {GATE_FAILED}, "a quality gate failed", "{{ event.payload.reason }}"),
    Notice("a run failed", FAILED, "{{ flow_run.name }}: {{ flow_run.state.name }}", "{{ flow_run.state.message }}"),
)


def of_this_folder(block: str) -> list[str]:
    """:func:`send_to` of the project in this folder, on the server that it is served by or that PREFECT_API_URL names.

    Raises:
        UserError: there is none, or it does not answer; or as :func:`send_to`.
    """
    how = served.read(Path()) if served.process(Path()) else None
    api = how.api if how else os.environ.get("PREFECT_API_URL")
    if not api:
        raise UserError("no server: run `augmint serve` in this folder first, or set PREFECT_API_URL")
    try:
        with SyncPrefectClient(api) as client:
            return send_to(client, block, Path())
    except httpx.HTTPError as error:
        raise UserError(f"the server at {api} does not answer: {error}") from None


def send_to(client: SyncPrefectClient, block: str, project: Path) -> list[str]:
    """Has the server send the notices of ``project`` to ``block``; those of an earlier call are replaced.

    Args:
        block: ``type/name`` of a notification block: ``slack-webhook/lab``, ``sendgrid-email/lab``.

    Returns:
        The names of the automations that send them; they can be switched off in the UI.

    Raises:
        UserError: no such block, or one of another kind.
    """
    kind, _, name = block.partition("/")
    try:
        document = client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        raise UserError(
            f"{block}: no such block on the server; make one in the UI (Blocks, capability `notify`), and name it "
            "`type/name`, such as slack-webhook/lab"
        ) from None
    if document.block_schema is None or NOTIFIES not in document.block_schema.capabilities:
        raise UserError(f"{block}: this block sends no notifications; make one with the capability `notify`")
    made = []
    for automation in _automations(project, block, document.id):
        for old in client.read_automations_by_name(automation.name):
            client.delete_automation(old.id)
        client.create_automation(automation)
        made.append(automation.name)
    return made


def _automations(project: Path, block: str, document: UUID) -> Iterator[AutomationCore]:
    name = slug(project)
    own = ResourceSpecification({"prefect.resource.id": resource_id(project)})
    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    tagged: list[Any] = [
        ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"})
        for tag in (TAG, name)
    ]
    for notice in NOTICES:
        of_runs = notice.events is FAILED
        yield AutomationCore(
            name=f"augmint: {name}: {notice.what}: {block}",
            description=f"Sends a notice to {block}; made by `augmint serve notify`",
            trigger=EventTrigger(
                expect=notice.events,
                match=runs if of_runs else own,
                match_related=tagged if of_runs else [],
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                SendNotification(
                    block_document_id=document, subject=f"{name}: {notice.subject}", body=f"{notice.body}\n{LINK}"
                )
            ],
        )
