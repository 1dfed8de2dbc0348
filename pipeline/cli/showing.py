"""The commands that show and check what there is."""

import dataclasses
import sys
from pathlib import Path

import click

from pipeline.cli.program import AS_JSON, GENERATOR, PICTURE, main, print_json
from pipeline.escaping import terminal
from pipeline.workspace import Workspace


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture to write.  [default: .augmint/preview.png]"
)
@click.option("--watch", is_flag=True, help="Again every 10 seconds, until the training ends.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in the place of lines.")
def preview(out: Path | None, watch: bool, as_json: bool) -> None:
    """Show what a training draws by now and how far it is, also from another terminal; it is not disturbed."""
    from pipeline.report.terminal.preview import preview as run

    run(Workspace(), out, watch, as_json)


@main.command()
@click.option("--class", "class_name", required=True, help="Class to draw, by name.")
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=64, show_default=True, help="How many images.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Names the sequence of images.")
@click.option(
    "--truncation",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Below 1 nearer to the middle of the class: surer images, less varied.",
)
@GENERATOR
@PICTURE
def sample(class_name: str, count: int, seed: int, truncation: float, model: Path, out: Path) -> None:
    """Draw a grid of images of one class from the trained generator."""
    from pipeline.sampling import write_grid

    write_grid(model, class_name, count, seed, out, truncation)
    click.echo(terminal(f"{count} images of class {class_name} in {out}"))


@main.command()
@click.argument("folder")
@click.option("--all", "everything", is_flag=True, help="Make every synthetic image again, not a sample of them.")
@click.option("--sample", type=click.IntRange(0), default=64, show_default=True, help="How many to make again.")
@click.option("--model", type=click.Path(path_type=Path), help="Where the generator is.  [default: models, if there]")
@AS_JSON
def verify(folder: str, everything: bool, sample: int, model: Path | None, as_json: bool) -> None:
    """Check an exported set: every path, digest, count and mark, and images made again from the generator.

    FOLDER may be an address that sets were pushed to: the current one there is fetched and checked. Ends with 0 and one
    line if the set is what `augmint export` wrote, with 1 and a line for each file that is not.
    """
    from pipeline.export.pushed import is_pushed, verify_pushed
    from pipeline.export.verify import verify as check
    from pipeline.remote.addresses import shown

    count = None if everything else sample
    found = verify_pushed(folder, count, model) if is_pushed(folder) else check(Path(folder), count, model)
    folder = shown(folder) if is_pushed(folder) else folder
    if as_json:
        print_json({"folder": folder, **dataclasses.asdict(found)})
        sys.exit(1 if found.problems else 0)
    for problem in found.problems:
        click.echo(terminal(problem))
    click.echo(f"{terminal(folder)}: {found}")
    sys.exit(1 if found.problems else 0)


@main.command()
@AS_JSON
def results(as_json: bool) -> None:
    """Print what the last run found: the table of arms, the verdict, what to do now, and the report's path."""
    from pipeline.report.terminal.results import as_tree, print_results

    if as_json:
        print_json(as_tree(Workspace()))
    else:
        print_results(Workspace())


@main.command()
@click.argument("one")
@click.argument("other")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Also write an HTML page (a file).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in the place of tables.")
def compare(one: str, other: str, page: Path | None, as_json: bool) -> None:
    """Put two results side by side: choices that differ, figures with their intervals, verdicts.

    ONE and OTHER are folders of projects, or Git revisions or DVC experiments of this one ("." is the folder as it is).
    """
    from pipeline.comparison.command import compare as run

    run(one, other, page, as_json)


@main.command()
def card() -> None:
    """Print the dataset card of the exported set with the verdict in it, for who passes the set on."""
    from pipeline.formats.card import publish

    click.echo(publish(Workspace()), nl=False)
