"""The commands that hand over what was found and made."""

from pathlib import Path
from typing import Literal

import click

from pipeline.cli.program import FILE, GENERATOR, PICTURE, main
from pipeline.escaping import terminal
from pipeline.workspace import Workspace


@main.command()
@click.option("--out", type=FILE, help="Where to write it.  [default: standard output]")
def recipe(out: Path | None) -> None:
    """Write a PyTorch script that trains the recommended classifier on your own folder.

    It needs torch and torchvision alone, and is meant to be read and changed.
    """
    from pipeline.recipe.script import write_script

    write_script(Workspace(), out)


@main.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--out", type=FILE, help="File to write.  [default: standard output; on a terminal a short table]")
@click.option(
    "--format", "form", type=click.Choice(["csv", "json"]), help="[default: by the suffix of --out, else csv]"
)
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the classifier.  [default: classifier]")
def predict(images: Path, out: Path | None, form: Literal["csv", "json"] | None, model: Path | None) -> None:
    """Ask the recommended classifier about IMAGES, a folder, an archive or an image: file, class, probabilities.

    Images are decoded as ingest decodes them. What cannot be read is named, and stops nothing.
    """
    from pipeline.prediction.predict import predict as run

    run(images, model, out, form)


@main.command()
@click.option("--class", "class_name", required=True, help="Class to draw, by name.")
@click.option("--rows", type=click.IntRange(1, 100), default=8, show_default=True, help="Ways, each on from the last.")
@click.option(
    "--steps", type=click.IntRange(2, 100), default=12, show_default=True, help="Images a way, ends included."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Names the sequence of latents.")
@GENERATOR
@PICTURE
def interpolate(class_name: str, rows: int, steps: int, seed: int, model: Path, out: Path) -> None:
    """Draw images of one class on the way from one latent to the next, along great circles.

    A generator that has learnt its class by heart jumps from image to image; others glide.
    """
    from pipeline.evaluation.interpolation import write_ways

    write_ways(model, class_name, rows, steps, seed, out)
    click.echo(terminal(f"{rows} ways between images of class {class_name} in {out}"))


@main.command()
@click.argument("url")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Workspace().synthetic,
    show_default=True,
    help="The set, as `augmint export` wrote it.",
)
def push(url: str, folder: Path) -> None:
    """Copy the exported set to URL (s3://, gs://, az://, ssh://, file://, or a folder), whole or not at all.

    It goes into a folder of its own there; current.json names the set that was pushed last. What is there already is
    not sent again, and an interrupted push goes on. `augmint verify URL` checks it.
    """
    from pipeline.export.pushing import push as run

    click.echo(terminal(str(run(folder, url))))
