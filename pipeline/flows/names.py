"""What a project is called in Prefect."""

import re
from pathlib import Path

from pipeline.flows.prefect_yaml import read_project

TAG = "augmint"  # of every deployment; the automations look for it
TRAINER_TAG = "augmint-trainer"  # has a concurrency limit on the server: so many stages train at a time


def slug(project: Path) -> str:
    """The project's name in the letters that Prefect allows in a key: its folder's, or ``name`` in its prefect.yaml.

    Raises:
        UserError: prefect.yaml cannot be read.
    """
    return plain(read_project(project).get("name") or project.resolve().name) or "project"


def plain(text: object) -> str:
    """``text`` in small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")


def artifact_key(project: Path, name: str) -> str:
    """The key of a project's artifact: the same in every run, so that Prefect shows their history."""
    return f"{slug(project)}-{plain(name)}"


def tags(project: Path) -> list[str]:
    """Of the project's deployments and of their runs."""
    return list(dict.fromkeys((TAG, slug(project))))
