"""`augmint serve` and its parts."""

import os
from contextlib import suppress
from pathlib import Path

import click

from pipeline.cli.program import UNMET, main
from pipeline.escaping import terminal


@main.group(invoke_without_command=True)
@click.option("--cron", help='When to refresh by itself, such as "0 3 * * *"; without it, by hand alone.')
@click.option("--timezone", default="UTC", show_default=True, help="Of --cron, such as Europe/Berlin.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the server listens.")
@click.option("--port", type=click.IntRange(1, 65535), default=4200, show_default=True, help="The same.")
@click.option(
    "--public-url", default="", help="Where browsers reach it, if through a proxy: https://lab.example/prefect"
)
@click.option("--worker", is_flag=True, help="Deploy prefect.yaml and start a worker.")
@click.pass_context
def serve(
    ctx: click.Context, cron: str | None, timezone: str, host: str, port: int, public_url: str, worker: bool
) -> None:
    """Run the pipeline by Prefect: on a schedule, and on request in its UI.

    Starts a Prefect server unless one runs there already, or PREFECT_API_URL names one, and the flows' deployments.
    Everything that was started ends with this command, by Ctrl-C or `augmint serve stop`.
    """
    if ctx.invoked_subcommand:
        return
    from pipeline.flows import serving

    serving.serve(cron, timezone, host, port, worker, public_url)


@serve.command()
def status() -> None:
    """Say whether this folder is served, where, and what runs and is due; exit with 1 if it is not."""
    from pipeline.flows.served import process

    if process(Path()) is None:
        click.echo("augmint serve is not at work in this folder")
        click.get_current_context().exit(UNMET)
    from pipeline.flows.standing import lines

    for line in lines(Path()):
        click.echo(terminal(line))


@serve.command()
def stop() -> None:
    """Stop the `augmint serve` of this folder, and wait for the end of all that it started."""
    from pipeline.flows.served import stop as end

    pid = end(Path())
    click.echo("augmint serve is not at work in this folder" if pid is None else f"augmint serve (PID {pid}) has ended")


@serve.command()
@click.argument("block")
def notify(block: str) -> None:
    """Send notices to BLOCK, a notification block of the server's by its `type/name`: slack-webhook/lab.

    They tell of a verdict that changed, a gate that failed, and a run that failed. Make the block in the UI first.
    """
    from pipeline.flows.notices import of_this_folder

    for name in of_this_folder(block):
        click.echo(terminal(name))


@main.command("serve-flows", hidden=True)
@click.option("--cron")
@click.option("--timezone", default="UTC")
@click.option("--worker", is_flag=True)
def serve_flows(cron: str | None, timezone: str, worker: bool) -> None:
    """Run the flows for the server at PREFECT_API_URL; `augmint serve` starts it."""
    with suppress(KeyboardInterrupt):
        from pipeline.flows.working import run_flows, run_worker, wait_for

        wait_for(os.environ["PREFECT_API_URL"])
        run_worker() if worker else run_flows(cron, timezone)
