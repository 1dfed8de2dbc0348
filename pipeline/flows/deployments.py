"""The deployments of ``augmint serve``; those of a worker stand in prefect.yaml."""

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron

from pipeline.flows.augment import augment
from pipeline.flows.export_set import export_set
from pipeline.flows.names import TAG
from pipeline.flows.refresh import refresh
from pipeline.flows.server import prepare
from pipeline.flows.sweep import sweep

NAME = "served"  # not those of prefect.yaml: a deployment keeps the work pool that it once had
ONE = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments(cron: str | None, timezone: str) -> list[RunnerDeployment]:
    """All flows, to be started by hand; ``refresh`` by the clock too if ``cron`` says when."""
    schedule = Cron(cron, timezone) if cron else None
    module = EntrypointType.MODULE_PATH
    made = [
        refresh.to_deployment(NAME, schedule=schedule, concurrency_limit=ONE, tags=[TAG], entrypoint_type=module),
        augment.to_deployment(NAME, concurrency_limit=ONE, tags=[TAG], entrypoint_type=module),
        export_set.to_deployment(NAME, tags=[TAG], entrypoint_type=module),
        sweep.to_deployment(NAME, concurrency_limit=ONE, tags=[TAG], entrypoint_type=module),
    ]
    return [deployment for deployment in made if isinstance(deployment, RunnerDeployment)]


def serve_all(cron: str | None, timezone: str) -> None:
    """Runs the flows in the folder that this is called in, as their server says, until it is interrupted."""
    prepare()
    serve(*deployments(cron, timezone), print_starting_message=False)
