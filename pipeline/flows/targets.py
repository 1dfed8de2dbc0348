"""Stages as a parameter of flows: a pick list in Prefect's form."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.errors import UserError
from pipeline.plain_yaml import read_mapping

STAGES = ("ingest", "train", "evaluate", "export", "classify")


def offered() -> list[str]:
    """The stages of this folder's ``dvc.yaml``, further ones of the project's own too; augmint's where there is none.

    Whether a stage is there is judged when the flow runs, in the project's folder.
    """
    try:
        stages = read_mapping(Path("dvc.yaml")).get("stages")
    except (UserError, OSError):
        return list(STAGES)
    return [str(name) for name in stages] if isinstance(stages, dict) and stages else list(STAGES)


def _choices(schema: dict[str, Any]) -> None:
    schema["enum"] = offered()


Target = Annotated[str, Field(json_schema_extra=_choices)]
