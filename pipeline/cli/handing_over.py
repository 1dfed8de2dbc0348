"""The commands that hand over what the search found."""

from pathlib import Path
from typing import Literal

import click

from pipeline.cli.program import main
from pipeline.workspace import Workspace

FILE = click.Path(path_type=Path, dir_okay=False)


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
