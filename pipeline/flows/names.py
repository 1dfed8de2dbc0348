"""What a project is called in Prefect."""

import re
from pathlib import Path

TAG = "augmint"  # of every deployment; the automations look for it


def slug(project: Path) -> str:
    """The project folder's name in the letters that Prefect allows in a key."""
    return re.sub(r"[^a-z0-9]+", "-", project.resolve().name.lower()).strip("-") or "project"


def artifact_key(project: Path, name: str) -> str:
    """The key of a project's artifact: the same in every run, so that Prefect shows their history."""
    return f"{slug(project)}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"
