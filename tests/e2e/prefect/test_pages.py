"""What people see of a run: its pages in a real browser, its log, and the notices that a webhook gets."""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from pipeline.errors import UserError
from pipeline.flows.augment import augment
from pipeline.flows.notices import send_to
from tests.browser import needs_browser, opened
from tests.e2e.conftest import Project
from tests.e2e.prefect.conftest import Server, copy_of, wait_for

pytestmark = pytest.mark.timeout(1500)
# no gate, and then one that cannot be met: two runs of one flow, as a deployment of the project would tag them
TWO_RUNS = """
import shutil
from pathlib import Path
from prefect import tags
from pipeline.flows.augment import augment
with tags("augmint", "shown"):
    for params in ("open.yaml", "gated.yaml"):
        shutil.copy(params, "params.yaml")
        state = augment(Path().resolve(), return_state=True)
        print(state.state_details.flow_run_id, state.type.value)
"""
# of those that the report holds: the page draws itself piece by piece after its load, so that they come when they come
TWO_PICTURES = """() => [...document.querySelectorAll("img[src^='data:image']")]
    .filter(image => image.complete && image.naturalWidth > 100).length === 2"""


class Hook(BaseHTTPRequestHandler):
    """Takes what a webhook gets."""

    got: list[dict[str, str]]

    def do_POST(self) -> None:
        """Keeps the body."""
        self.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@dataclass
class Shown:
    """Two runs, and the notices of them."""

    project: Project
    failed: str = ""
    completed: str = ""
    before: dict[str, bytes] = field(default_factory=dict)
    notices: list[dict[str, str]] = field(default_factory=list)

    def notice(self, words: str) -> str:
        """The text of the notice whose subject has these words."""
        found = wait_for(words, lambda: [one["body"] for one in self.notices if words in one["subject"]])
        assert len(found) == 1
        return str(found[0])


@pytest.fixture(scope="module")
def shown(server: Server, finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A project of which one run changed the verdict, and the next one failed at a gate."""
    shown = Shown(copy_of(finished, tmp_path_factory.mktemp("pages") / "Shown"))
    project, hook = shown.project, ThreadingHTTPServer(("127.0.0.1", 0), type("", (Hook,), {"got": shown.notices}))
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    make_block(server, f"http://127.0.0.1:{hook.server_port}/")
    with SyncPrefectClient(server.url) as client:
        for _ in range(2):  # the second time replaces the first
            assert len(send_to(client, "custom-webhook/hook", project.root)) == 3
    before = [{"figure": "utility.verdict", "value": "ELSE"}, {"figure": "utility.delta", "value": 0.5}]
    server.post("/artifacts/", key="shown-metrics", type="table", data=json.dumps(before))
    for name, gates in (("open.yaml", {}), ("gated.yaml", {"coverage": ">= 2"})):
        project.edit("evaluate", gates=gates)
        project.edit("classify", steps=5)
        (project.root / name).write_bytes((project.root / "params.yaml").read_bytes())
    shown.before = project.bytes_of("synthetic")
    lines = server.run(project.root, sys.executable, "-c", TWO_RUNS).splitlines()
    ended = [line.split() for line in lines if line.endswith(("FAILED", "COMPLETED"))]
    (shown.completed, first), (shown.failed, second) = ended
    assert (first, second) == ("COMPLETED", "FAILED")
    yield shown
    hook.shutdown()


def utility(project: Project) -> dict[str, Any]:
    """What ``classify`` found."""
    content: dict[str, Any] = json.loads((project.root / "metrics" / "utility.json").read_text(encoding="utf-8"))
    return content


def make_block(server: Server, url: str) -> None:
    """A notification block as the UI makes it."""
    kind = server.ask("GET", "/block_types/slug/custom-webhook").json()["id"]
    (schema, *_) = server.post("/block_schemas/filter", block_schemas={"block_type_id": {"any_": [kind]}})
    data = {"name": "hook", "url": url, "json_data": {"subject": "{{subject}}", "body": "{{body}}"}}
    server.post("/block_documents/", name="hook", block_type_id=kind, block_schema_id=schema["id"], data=data)


def test_a_failure_that_a_user_can_mend_is_one_message(server: Server, shown: Shown) -> None:
    message = server.state(shown.failed)["message"]
    assert "coverage" in message
    assert server.task_runs(shown.failed)["export"]["state"]["message"] == message
    (line,) = wait_for("the error", lambda: server.errors(shown.failed))
    assert line.startswith("Finished in state Failed(") and message[:40] in line
    logged = server.logs(shown.failed) + server.logs(shown.completed)
    for noise in ("Traceback", "unexpected exception", "git add", "\N{BOX DRAWINGS LIGHT VERTICAL}"):
        assert noise not in logged


def test_a_webhook_is_told_of_the_verdict_a_gate_and_a_failed_run(server: Server, shown: Shown) -> None:
    assert "It was ELSE." in shown.notice(f"shown: the verdict is {utility(shown.project)['verdict']}")
    assert "coverage" in shown.notice("shown: a quality gate failed")
    failed = shown.notice(": Failed")
    assert server.state(shown.failed)["message"] in failed
    assert f"{server.ui}/" in failed and shown.failed in failed
    assert len(shown.notices) == 3


@pytest.mark.parametrize(
    ("block", "reason"), [("slack-webhook/none", "no such block"), ("hook", "no such block"), ("json/x", "no such")]
)
def test_a_block_that_is_none_is_refused(server: Server, shown: Shown, block: str, reason: str) -> None:
    with SyncPrefectClient(server.url) as client, pytest.raises(UserError, match=reason):
        send_to(client, block, shown.project.root)


def test_a_failed_gate_and_a_new_verdict_are_events_and_the_good_set_stays(server: Server, shown: Shown) -> None:
    gates = server.event("augmint.gate.failed", shown.failed)["payload"]["gates"]
    assert [gate["figure"] for gate in gates] == ["coverage"]
    changed = server.event("augmint.verdict.changed", shown.completed)
    assert changed["payload"] == {"before": "ELSE", "verdict": utility(shown.project)["verdict"]}
    assert changed["resource"]["prefect.resource.id"] == "augmint.project.shown"
    assert shown.project.bytes_of("synthetic") == shown.before


def test_the_report_comes_first_and_no_artifact_is_a_picture_in_letters(server: Server, shown: Shown) -> None:
    artifacts = server.artifacts(shown.completed)
    made = sorted(artifacts.values(), key=lambda artifact: str(artifact["created"]))
    assert [one["key"] for one in made if not one["key"].endswith("-progress")] == [
        *("shown-report", "shown-metrics", "shown-pictures")
    ]
    assert {one["type"] for one in made} <= {"markdown", "table", "progress"}
    rows = {row["figure"]: row for row in json.loads(artifacts["shown-metrics"]["data"])}
    assert next(iter(rows)) == "utility.verdict" and len(rows) <= 30
    delta = utility(shown.project)["delta"]
    assert rows["utility.delta"] == {
        **{"figure": "utility.delta", "value": delta, "change": f"{delta - 0.5:+.6g}", "last run": 0.5}
    }
    assert len(artifacts["shown-report"]["data"]) < 300_000


@needs_browser
def test_the_pages_show_the_run_and_ask_nobody_else(server: Server, shown: Shown) -> None:
    run = server.ask("GET", f"/flow_runs/{shown.completed}").json()
    report = server.artifacts(shown.completed)["shown-report"]
    form = {"name": "shown", "flow_id": run["flow_id"], "parameter_openapi_schema": augment.parameters.model_dump()}
    deployment = server.post("/deployments/", **form)["id"]
    with opened() as seen:
        for base in ("/v2", ""):
            for place, words in (
                ("/runs", run["name"]),
                (f"/runs/flow-run/{run['id']}", run["name"]),
                (f"/artifacts/artifact/{report['id']}", "(was ELSE)"),
                (f"/deployments/deployment/{deployment}/run", "Stages to bring up to date"),
                ("/blocks/catalog", "Slack Webhook"),
            ):
                seen.page.goto(f"{server.ui}{base}{place}")
                seen.page.get_by_text(words).first.wait_for()
                if "/artifact/" in place:
                    seen.page.wait_for_function(TWO_PICTURES)
        assert seen.leaving(server.ui) == []
        assert not [url for url in seen.requests if "amplitude" in url]
