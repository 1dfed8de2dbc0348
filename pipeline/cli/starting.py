"""The commands before a first run: a project of one's own, and whether this machine is fit for it."""

from pathlib import Path

import click

from pipeline.cli.program import AS_JSON, UNMET, main, print_json
from pipeline.escaping import terminal
from pipeline.workspace import Workspace


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option("--images", required=True, help="Folder, archive, table, .npz, address, or hf:owner/name.")
@click.option("--size", type=click.IntRange(8, 512), help="Side of the images in pixels.  [default: fits]")
@click.option("--label-column", default="", help="Column or array of the labels.  [default: found out]")
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 10_000),
    default=30.0,
    show_default=True,
    help="To aim at for the generator, and once more for the classifiers.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
def init(folder: Path, images: str, size: int | None, label_column: str, minutes: float, dry_run: bool) -> None:
    """Make a project of your own in DIR: look at the images, and write choices that fit them.

    The images are named, not copied. Nothing is overwritten: files that are there stay, and what differs is said; then
    the exit code is 1.
    """
    from pipeline.projects.recognising import check_there

    check_there(images)
    from pipeline.projects.starting import start  # torch takes its seconds

    if start(folder, images, size, label_column, minutes, dry_run):
        click.get_current_context().exit(UNMET)


@main.command()
@AS_JSON
def doctor(as_json: bool) -> None:
    """Say whether this machine, this environment and this project are fit for a run, and what to do if not.

    Ends with 1 if something is wrong, with 0 if not, warnings or none.
    """
    from pipeline.doctor import examine

    results = []
    for result in examine(Workspace()):
        results.append(result)
        if not as_json:
            click.echo(terminal(str(result)))
    if as_json:
        print_json([result.as_dict() for result in results])
    if any(result.state == "wrong" for result in results):
        click.get_current_context().exit(UNMET)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what completes augmint's commands and options in SHELL.

    \b
    bash: echo 'eval "$(augmint completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(augmint completion zsh)"' >> ~/.zshrc
    fish: augmint completion fish > ~/.config/fish/completions/augmint.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "augmint", "_AUGMINT_COMPLETE").source())
