"""Work that is sharded over workers: processes of this machine, or those of a Dask or Ray cluster.

Shards are fixed by the data alone, each result by its shard, and results are taken in a fixed order or into places of
their own: the number of workers, and their kind, moves nothing but the time. A cluster's workers only compute; this
process alone writes outputs, so that a worker that is lost leaves nothing behind, and nothing is written twice. What a
worker makes of a study's fold lies in the scratch folder until then, see :mod:`pipeline.flows.fold_workers`.
"""

import os
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import WorkersParams
from pipeline.workers.base import Crew, Workers
from pipeline.workers.local import Local

__all__ = ["CHOICE", "Crew", "Local", "Workers", "open_workers"]

CHOICE = "AUGMINT_WORKERS"
"""An environment variable that wins over ``params.yaml``: an engine, or an engine and its address, such as
``ray=10.0.0.5:6379``. A flow sets it for the stages that it runs."""


def open_workers(params: WorkersParams, scratch: Path) -> Workers:
    """The workers of ``params``, unless :data:`CHOICE` names others; to be entered before they are used.

    Args:
        scratch: the project's folder for what is in work, :attr:`pipeline.workspace.Workspace.scratch`.

    Raises:
        UserError: :data:`CHOICE` names no engine.
    """
    chosen = _chosen(params)
    if chosen.engine == "dask":
        from pipeline.workers.dask import Dask

        return Dask(chosen.count, chosen.address, scratch)
    if chosen.engine == "ray":
        from pipeline.workers.ray import Ray

        return Ray(chosen.count, chosen.address, scratch)
    return Local(chosen.count)


def _chosen(params: WorkersParams) -> WorkersParams:
    if not (text := os.environ.get(CHOICE)):
        return params
    engine, _, address = text.partition("=")
    try:
        return WorkersParams.model_validate({"engine": engine, "count": params.count, "address": address or None})
    except ValueError:
        raise UserError(
            f"{CHOICE}: {text!r} names no engine; write local, dask, ray, or dask=<address> or ray=<address>"
        ) from None
