"""The program around the commands: standard streams, signals, exit codes, and one message for every error."""

import io
import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

from pipeline.atomic import recover
from pipeline.errors import INTERRUPTED, explained
from pipeline.escaping import terminal
from pipeline.runtime import ending_with, open_standard_streams, prepare, stage_ancestors, use_utf8
from pipeline.workspace import Workspace

UNMET = 1  # what was required is not so
UNREAD = 141  # what shells report for a program ended by SIGPIPE
NO_PROJECT = ("init", "doctor", "completion")  # commands that touch no outputs of the folder that they are called in
FILE = click.Path(path_type=Path, dir_okay=False)
PICTURE = click.option("--out", type=FILE, required=True, help="Picture to write (.png, .jpg, .webp).")
GENERATOR = click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=Workspace().models,
    show_default=True,
    help="Where the generator is.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON in the place of lines.")


class Commands(click.Group):
    """Turns every error into one message and an exit code.

    2 for what a user can mend, 75 if it may pass by itself, 70 for a fault of ours.
    """

    def main(self, args: Sequence[str] | None = None, *rest: Any, **more: Any) -> Any:
        """Runs as a program, on ``sys.argv``, in UTF-8; with ``args`` given, within another."""
        if args is None:
            use_utf8()
            open_standard_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a character that a terminal cannot show ends nothing
                stream.reconfigure(errors="backslashreplace")
        return super().main(args, *rest, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; see the class."""
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # None where the caller has closed it
                sys.stdout.flush()
            return result
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("augmint: interrupted; the same command goes on from the last checkpoint", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                ctx.exit(UNREAD)
            failure = explained(error, ctx.invoked_subcommand or "")
            with suppress(OSError):  # the log may be on a full disk
                click.echo(terminal(f"augmint: {failure}", keep="\n"), err=True)
            ctx.exit(failure.exit_code)


def _nobody_reads() -> bool:
    """Whether what read our output, such as ``head``, has ended; what is still to be written then goes nowhere."""
    gone = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream is not None and _is_broken(stream)]
    for number in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return bool(gone)


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # no file: within another program
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="augmint")
def main(debug: bool) -> None:  # noqa: ARG001  (read by Commands.invoke)
    """Mint labelled synthetic images from a small or unbalanced image set, and test whether they help.

    `augmint init` makes a project of your own images, and `dvc repro` runs its five stages in order, only those that
    are not up to date. Every choice is in params.yaml.

    \b
    Exit codes: 0 done; 1 what you asked for is not so; 2 what you can mend;
    75 what may pass by itself; 70 a fault of augmint; 130 Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    prepare()
    context = click.get_current_context()
    if context.invoked_subcommand in NO_PROJECT:
        return
    context.with_resource(ending_with(stage_ancestors()))
    for path in recover(Workspace().places):
        click.echo(f"augmint: {os.path.relpath(path)}: finished what a killed run had begun", err=True)


def print_json(content: Any) -> None:
    """Prints what a command found, for scripts."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt
