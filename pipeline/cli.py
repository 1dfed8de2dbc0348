"""The command line. Thin: each command reads the parameters and calls one function, imported when it is needed."""

import dataclasses
import importlib
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
from pipeline.commands import interpolate, predict, push, recipe
from pipeline.errors import explained
from pipeline.escaping import terminal
from pipeline.runtime import ending_with, open_standard_streams, prepare, stage_ancestors, use_utf8
from pipeline.workspace import Workspace

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
UNMET = 1  # what was required is not so
INTERRUPTED = 130  # what shells report for a program ended by SIGINT
UNREAD = 141  # and by SIGPIPE
NO_PROJECT = ("init", "doctor", "completion")  # commands that touch no outputs of the folder that they are called in
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


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt


def _run_stage(name: str, dry_run: bool = False) -> None:
    from pipeline.params import load_params

    workspace = Workspace()
    params = load_params(workspace.params)
    stage = importlib.import_module(f"pipeline.stages.{name}")
    (stage.dry_run if dry_run else stage.run)(params, workspace)


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
def ingest() -> None:
    """Decode, de-duplicate and split the source into data/store. A stage of dvc.yaml."""
    _run_stage("ingest")


@main.command()
def look() -> None:
    """Ask the address of the images which version lies there. A stage of dvc.yaml where DVC cannot ask."""
    _run_stage("look")


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
        _print_json([finding.as_dict() for finding in found])
        click.get_current_context().exit(2 if any(finding.fatal for finding in found) else 0)
    stage.run(params, workspace)


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
        _print_json([result.as_dict() for result in results])
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
@click.option("--dry-run", is_flag=True, help="Print memory, iterations and time it would take; no more.")
def train(dry_run: bool) -> None:
    """Train the conditional GAN; resumes where a killed run left off. A stage of dvc.yaml."""
    _run_stage("train", dry_run)


@main.command()
@click.option("--real", type=FOLDER, help="Real images that the generator has not seen; one folder a class.")
@click.option("--fake", type=FOLDER, help="What the generator made; the same classes.")
@click.option("--train", type=FOLDER, help="What it was trained on, for the copy check.")
@click.option("--json", "target", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the figures.")
@click.option("--by-class", type=click.Path(path_type=Path, file_okay=False), help="Where to write those by class.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Where to write an HTML page of them.")
def evaluate(
    real: Path | None,
    fake: Path | None,
    train: Path | None,
    target: Path | None,
    by_class: Path | None,
    page: Path | None,
) -> None:
    """Measure synthetic against held-out real images.

    Without options it is a stage of dvc.yaml. With --real and --fake it scores any two folders, made by anything,
    without a project around them; the figures have the structure of metrics/quality.json, those by class are CSV files
    as in plots/evaluate.
    """
    if not any((real, fake, train, target, by_class, page)):
        _run_stage("evaluate")
        return
    if real is None or fake is None:
        raise click.UsageError("give both --real and --fake, or no option at all for the stage of dvc.yaml")
    from pipeline.evaluation.standalone import report_folders

    report_folders(real, fake, train, target, by_class, page)


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
        _print_json({"folder": folder, **dataclasses.asdict(found)})
        sys.exit(1 if found.problems else 0)
    for problem in found.problems:
        click.echo(terminal(problem))
    click.echo(f"{terminal(folder)}: {found}")
    sys.exit(1 if found.problems else 0)


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
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=Workspace().models,
    show_default=True,
    help="Where the generator is.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Picture to write (.png, .jpg, .webp).",
)
def sample(class_name: str, count: int, seed: int, truncation: float, model: Path, out: Path) -> None:
    """Draw a grid of images of one class from the trained generator."""
    from pipeline.sampling import write_grid

    write_grid(model, class_name, count, seed, out, truncation)
    click.echo(terminal(f"{count} images of class {class_name} in {out}"))


@main.command()
@click.option("--folds", default="", metavar="0,1", help="Only these: 0,1, or with repeats 1-0.  [default: all]")
@click.option("--dry-run", is_flag=True, help="Say what would run and about how long it would take; no more.")
def study(folds: str, dry_run: bool) -> None:
    """Run the experiment in each fold of a cross-validation, so that every image is a test image.

    Says about how long it will take, then runs the folds that are missing; what is finished is never run again, and
    what was stopped goes on. How many folds there are stands in params.yaml.
    """
    from pipeline.flows.folds import study as run

    run(Path(), folds, dry_run)


@main.command("study-plan", hidden=True)
def study_plan() -> None:
    """Write the study's plan and its stages, and say how long it will take; the flow of that name runs it."""
    from pipeline.params import load_params
    from pipeline.study.estimate import estimate
    from pipeline.study.folds import all_folds
    from pipeline.study.running import prepare, remarks

    params, workspace = load_params(Workspace().params), Workspace()
    prepare(params, workspace)
    for line in remarks(params, workspace):
        click.echo(terminal(f"study: {line}"))
    click.echo(f"study: {estimate(params, workspace).said(len(all_folds(params.study)))}")


@main.command("study-fold", hidden=True)
@click.argument("fold")
def study_fold(fold: str) -> None:
    """Run FOLD of the study, such as 0-3. A stage of study/dvc.yaml, which `augmint study` writes."""
    from pipeline.params import load_params
    from pipeline.study.fold import run
    from pipeline.study.folds import wanted_folds

    params = load_params(Workspace().params)
    for one in wanted_folds(fold, params.study):
        run(params, Workspace(), one)


@main.command("study-summary", hidden=True)
def study_summary() -> None:
    """Say what all folds found together. A stage of study/dvc.yaml."""
    from pipeline.params import load_params
    from pipeline.study.running import run_summary

    run_summary(load_params(Workspace().params), Workspace())


@main.command()
@AS_JSON
def results(as_json: bool) -> None:
    """Print what the last run found: the table of arms, the verdict, what to do now, and the report's path."""
    from pipeline.report.terminal.results import as_tree, print_results

    if as_json:
        _print_json(as_tree(Workspace()))
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


main.add_command(interpolate)
main.add_command(recipe)
main.add_command(predict)
main.add_command(push)


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


if __name__ == "__main__":
    sys.exit(main())
