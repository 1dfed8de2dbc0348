"""The stages of dvc.yaml as commands, and what looks ahead of them."""

import gc
import importlib
from pathlib import Path

import click

from pipeline.cli.program import AS_JSON, UNMET, main, print_json
from pipeline.workspace import Workspace

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def run_stage(name: str, dry_run: bool = False) -> None:
    """Runs a stage of the project in this folder, or says what it would take."""
    from pipeline.params import load_params

    workspace = Workspace()
    params = load_params(workspace.params)
    stage = importlib.import_module(f"pipeline.stages.{name}")
    gc.freeze()  # what was imported stays: each search for garbage would look at all of it, a tenth of an ingest's time
    (stage.dry_run if dry_run else stage.run)(params, workspace)


@main.command()
def ingest() -> None:
    """Decode, de-duplicate and split the source into data/store. A stage of dvc.yaml."""
    run_stage("ingest")


@main.command()
def look() -> None:
    """Ask the address of the images which version lies there. A stage of dvc.yaml where DVC cannot ask."""
    run_stage("look")


@main.command()
@AS_JSON
def check(as_json: bool) -> None:
    """Say what will end a later stage or weaken what it finds, all at once, before anything is trained."""
    from pipeline.params import load_params
    from pipeline.stages import check as stage

    workspace = Workspace()
    params = load_params(workspace.params)
    if as_json:
        found = list(stage.findings(params, workspace))
        print_json([finding.as_dict() for finding in found])
        click.get_current_context().exit(2 if any(finding.fatal for finding in found) else 0)
    stage.run(params, workspace)


@main.command()
@click.option("--dry-run", is_flag=True, help="Print memory, iterations and time it would take; no more.")
def train(dry_run: bool) -> None:
    """Train the conditional GAN; resumes where a killed run left off. A stage of dvc.yaml."""
    run_stage("train", dry_run)


@main.command()
@click.option("--real", type=FOLDER, help="Real images that the generator has not seen; one folder a class.")
@click.option("--fake", type=FOLDER, help="What the generator made; the same classes.")
@click.option("--train", type=FOLDER, help="What it was trained on, for the copy check.")
@click.option(
    "--mirror",
    type=click.Choice(["horizontal", "dihedral"]),
    help="How its images were mirrored: copies are sought so too.",
)
@click.option("--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the figures.")
@click.option("--by-class", type=click.Path(path_type=Path, file_okay=False), help="Where to write those by class.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Where to write an HTML page of them.")
def evaluate(
    real: Path | None,
    fake: Path | None,
    train: Path | None,
    mirror: str | None,
    target: Path | None,
    by_class: Path | None,
    page: Path | None,
) -> None:
    """Measure synthetic against held-out real images.

    Without options it is a stage of dvc.yaml. With --real and --fake it scores any two folders, made by anything,
    without a project around them; the figures have the structure of metrics/quality.json, those by class are CSV files
    as in plots/evaluate.
    """
    if not any((real, fake, train, mirror, target, by_class, page)):
        run_stage("evaluate")
        return
    if real is None or fake is None:
        raise click.UsageError("give both --real and --fake, or no option at all for the stage of dvc.yaml")
    if mirror and train is None:
        raise click.UsageError("--mirror is about copies of the images of --train: give that too")
    from pipeline.evaluation.standalone import report_folders

    report_folders(real, fake, train, target, by_class, page, mirror or "none")


@main.command()
@click.option("--dry-run", is_flag=True, help="Print the plan, its size and its time; write nothing.")
@click.option("--force", is_flag=True, help="Export although a quality gate failed; the set says so.")
def export(dry_run: bool, force: bool) -> None:
    """Write the labelled synthetic set. A stage of dvc.yaml."""
    from pipeline.params import load_params
    from pipeline.stages import export as stage

    workspace = Workspace()
    params = load_params(workspace.params)
    if force:
        params = params.model_copy(update={"export": params.export.model_copy(update={"force": True})})
    (stage.dry_run if dry_run else stage.run)(params, workspace)


@main.command("export-set", hidden=True)
@click.argument("request")
def export_set(request: str) -> None:
    """Write the set that REQUEST asks for, a pipeline.export.request.Request in JSON; the flow of that name runs it."""
    from pipeline.export.request import Request
    from pipeline.params import load_params
    from pipeline.stages import export_set as stage

    workspace = Workspace()
    stage.run(Request.load(request), load_params(workspace.params), workspace)


@main.command()
@click.option(
    "--require",
    type=click.Choice(["helps"]),
    help="Exit with 1 unless the verdict is HELPS. A finished metrics/utility.json that belongs to params.yaml, the "
    "ingested and the exported set is taken as it is.",
)
def classify(require: str | None) -> None:
    """Train classifiers with and without synthetic images; give the verdict. A stage of dvc.yaml."""
    from pipeline.params import load_params
    from pipeline.report.terminal.results import print_utility
    from pipeline.stages.classify import current, run, verdict

    workspace = Workspace()
    params = load_params(workspace.params)
    utility = current(params, workspace) if require else None
    if utility is None:
        run(params, workspace)
    else:
        print_utility(utility)
    if require and verdict(workspace) != require.upper():
        click.get_current_context().exit(UNMET)
