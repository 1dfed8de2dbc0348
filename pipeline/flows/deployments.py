"""The deployments of ``augmint serve``; those of a worker stand in prefect.yaml."""

from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron

from pipeline.flows.augment import augment
from pipeline.flows.export_set import export_set
from pipeline.flows.names import slug, tags
from pipeline.flows.refresh import refresh
from pipeline.flows.study import study
from pipeline.flows.sweep import sweep

FLOWS: tuple[Flow[..., Any], ...] = (refresh, augment, export_set, sweep, study)
SEVERAL = (export_set,)  # several at a time; of the others one
ONE = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments(project: Path, cron: str | None, timezone: str) -> list[RunnerDeployment]:
    """All flows of a project, to be started by hand; ``refresh`` by the clock too if ``cron`` says when."""
    made = [
        flow.to_deployment(
            slug(project),
            schedule=Cron(cron, timezone) if cron and flow is refresh else None,
            concurrency_limit=None if flow in SEVERAL else ONE,
            parameters={"project": str(project)},
            tags=tags(project),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow in FLOWS
    ]
    return [deployment for deployment in made if isinstance(deployment, RunnerDeployment)]
