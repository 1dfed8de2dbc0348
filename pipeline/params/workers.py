"""The group ``workers``: who does what can be shared out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.fields import Section


class WorkersParams(Section):
    """Who does what can be shared out; no output depends on it. See :mod:`pipeline.workers`.

    Attributes:
        engine: processes of this machine, or a cluster's.
        count: workers at most; ``None`` for the usable cores, or for all of a cluster.
        address: of the cluster; ``None`` starts one on this machine for the time of a stage.
    """

    engine: Literal["local", "dask", "ray"] = "local"
    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    address: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _of_a_cluster(self) -> "WorkersParams":
        if self.address and self.engine == "local":
            raise ValueError("address is that of a cluster; set engine to dask or ray, or address to null")
        return self
