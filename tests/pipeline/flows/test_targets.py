"""Stages are a pick list in Prefect's form, a project's own further stages among them."""

from pathlib import Path

import pytest
from prefect.utilities.callables import parameter_schema

from pipeline.flows.targets import STAGES, Target
from tests.e2e.conftest import REPOSITORY


def form() -> list[str]:
    """What a form offers that is made in this folder."""

    def flow(targets: list[Target]) -> None: ...

    items: list[str] = parameter_schema(flow).model_dump()["properties"]["targets"]["items"]["enum"]
    return items


@pytest.mark.parametrize(
    ("content", "offered"),
    [
        ((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"), list(STAGES)),
        ("stages:\n  ingest: {cmd: a}\n  'publish: it': {cmd: b}\n", ["ingest", "publish: it"]),
        ("stages: 3", list(STAGES)),
        ("stages: {}", list(STAGES)),
        ("a: [", list(STAGES)),
        (None, list(STAGES)),
    ],
)
def test_the_form_offers_the_stages_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, offered: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("dvc.yaml").write_text(content, encoding="utf-8")
    assert form() == offered
