"""A set beside the project's own: what is wrong is said of the request, and nothing but an exported set is replaced."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.export.request import Request
from pipeline.params import Params
from pipeline.stages import export_set
from pipeline.workspace import Workspace


def refused(workspace: Workspace, **asked: object) -> str:
    """Why a request is refused."""
    with pytest.raises(UserError) as caught:
        export_set.run(Request.model_validate({"target": workspace.root / "new"} | asked), Params(), workspace)
    return str(caught.value)


@pytest.mark.parametrize("asked", [{"classes": ["3", "ten"]}, {"counts": {"ten": 5}}])
def test_an_unknown_class_is_blamed_on_the_parameter_that_names_it(
    digits_workspace: Workspace, asked: dict[str, object]
) -> None:
    message = refused(digits_workspace, **asked)
    assert message.startswith(f"{next(iter(asked))}: 'ten': no such class")
    assert "params.yaml" not in message


def photos(root: Path) -> str:
    (root / "photos").mkdir()
    (root / "photos" / "one.png").write_bytes(b"mine")
    return "photos"


def file(root: Path) -> str:
    (root / "notes.txt").write_text("mine")
    return "notes.txt"


def link(root: Path) -> str:
    (root / "link").symlink_to(root / "data", target_is_directory=True)
    return "link"


@pytest.mark.parametrize("target", [photos, file, link])
def test_what_is_no_exported_set_stays(digits_workspace: Workspace, target: Callable[[Path], str]) -> None:
    name = target(digits_workspace.root)
    assert refused(digits_workspace, target=digits_workspace.root / name).startswith("target: ")


@pytest.mark.parametrize("name", [".", "..", "data", "data/store", "synthetic", "models/new", ".augmint", "a\0b"])
def test_no_place_of_the_projects_is_a_target(digits_workspace: Workspace, name: str) -> None:
    before = sorted(digits_workspace.root.rglob("*"))
    assert refused(digits_workspace, target=digits_workspace.root / name).startswith("target: ")
    assert sorted(digits_workspace.root.rglob("*")) == before


def test_classes_and_counts_are_what_is_made() -> None:
    def wanted(**asked: object) -> dict[str, int]:
        return Request.model_validate({"target": "new"} | asked).wanted(["a", "b"])

    assert wanted(count=3) == {"a": 3, "b": 3}
    assert wanted(count=3, classes=["b"]) == {"b": 3}
    assert wanted(count=3, classes=["b"], counts={"a": 0, "b": 7}) == {"b": 7, "a": 0}
    assert wanted(counts={"a": 2}) == {"a": 2}
