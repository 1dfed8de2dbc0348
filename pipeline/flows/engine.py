"""Which workers the stages of a flow get: the cluster of the flow's task runner, if it has one.

A task that itself runs on a worker of that cluster, as a study's folds do, tells its stage to stay on that machine: it
holds a place of the cluster as long as it runs, and would wait for places that such tasks hold.
"""

import os
import sys

from pipeline.workers import CHOICE


def chosen() -> dict[str, str]:
    """What goes into the environment of a stage; nothing where params.yaml decides."""
    if CHOICE in os.environ:
        return {}
    if _on_a_worker():
        return {CHOICE: "local"}
    prefect = sys.modules.get("prefect.context")  # `augmint study` runs stages without it
    context = prefect.FlowRunContext.get() if prefect else None
    kind = type(context.task_runner).__name__ if context else ""
    if context and kind == "DaskTaskRunner":
        return {CHOICE: f"dask={context.task_runner.client.scheduler.address}"}
    if kind == "RayTaskRunner":
        return {CHOICE: f"ray={sys.modules['ray'].get_runtime_context().gcs_address}"}
    return {}


def _on_a_worker() -> bool:
    """Whether this is a task on a worker of Dask or Ray; neither is loaded to find out."""
    if dask := sys.modules.get("distributed"):
        try:
            dask.get_worker()
        except ValueError:
            pass
        else:
            return True
    ray = sys.modules.get("ray")
    return bool(ray and ray.is_initialized() and ray.get_runtime_context().get_task_id())
