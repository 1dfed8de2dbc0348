"""A project's prefect.yaml, as far as augmint reads it itself. Imports no Prefect."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from pipeline.errors import UserError

FILE = "prefect.yaml"


def read_project(project: Path) -> CommentedMap:
    """The content of the project's prefect.yaml; empty without one.

    Raises:
        UserError: it cannot be read, or is no mapping.
    """
    path = project / FILE
    try:
        content: Any = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return CommentedMap()
    except (OSError, ValueError, YAMLError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, CommentedMap | None):
        raise UserError(f"{path}: expected keys such as `deployments:` at the top level")
    return content or CommentedMap()


def schedules(content: CommentedMap) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every schedule of the deployments: whose it is, its line, and what it says."""
    for deployment in _list(content.get("deployments")):
        if not isinstance(deployment, CommentedMap):
            continue
        name = str(deployment.get("entrypoint", deployment.get("name", "")))
        for schedule in (*_list(deployment.get("schedules")), deployment.get("schedule")):
            if isinstance(schedule, CommentedMap):
                yield name.rpartition(".")[2].rpartition(":")[2], schedule.lc.line + 1, dict(schedule)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
