"""A set beside the project's own: chosen classes and numbers, written to another place, no output of DVC's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.params import ExportParams, Params
from pipeline.store import Store
from pipeline.workspace import Workspace

Format = Literal["imagefolder", "webdataset", "parquet"]
Encoding = Literal["png", "jpeg", "webp", "webp-lossless"]


class Request(BaseModel):
    """What the set is to hold.

    Attributes:
        target: the folder to write; one that is there is replaced when the new set is whole.
        counts: synthetic images by class; classes that are not named get none.
        count: those of every class if ``counts`` names none.
        format, encoding: as in params.yaml, which holds for all else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Path
    counts: dict[str, int] = Field({})
    count: int = Field(100, ge=1)
    format: Format = "imagefolder"
    encoding: Encoding = "png"


@dataclass(frozen=True)
class Aside(Workspace):
    """The project's workspace, but for what ``export`` writes."""

    target: Path = Path()

    @property
    def synthetic(self) -> Path:
        """The set."""
        return self.target

    @property
    def scratch(self) -> Path:
        """Its parts in work, apart from those of the project's own export."""
        return super().scratch / "aside"

    def metrics(self, name: str) -> Path:
        """The project's figures, those of the set itself in the scratch folder."""
        return self.scratch / "export.json" if name == "export" else super().metrics(name)


def write(request: Request, params: Params, workspace: Workspace) -> None:
    """Writes the set; gates and filters hold as for the project's own.

    Raises:
        UserError: as :func:`pipeline.stages.export.run`.
    """
    from pipeline.stages import export  # imports torch; who makes a request needs none of it

    store = Store.open(workspace.store)
    real = dict(zip(store.classes, store.split("train").counts(len(store.classes)).tolist(), strict=True))
    counts = request.counts or dict.fromkeys(store.classes, request.count)
    # a plan counts a class's real images too: 1 leaves a class that has any without a synthetic one
    classes = {name: real.get(name, 0) + count for name, count in counts.items()}
    settings = {"balance": 1, "classes": classes, "include_real": "none", "format": request.format}
    chosen = params.export.model_dump() | settings | {"encoding": request.encoding}
    params = params.model_copy(update={"export": ExportParams.model_validate(chosen)})
    export.run(params, Aside(workspace.root, request.target))
