"""The flow ``refresh``: new images in, a new set out, shared with others."""

import subprocess
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from pipeline.errors import BusyError, UserError
from pipeline.flows import dvc
from pipeline.flows.output import Output
from pipeline.flows.processes import run_guarded
from pipeline.flows.runs import Limits, Outcome, bring_up_to_date, run_name, unattended
from pipeline.flows.tasks import done, may_pass, plain


@flow(flow_run_name=run_name)
def refresh(
    project: Path = Path(),
    pull: bool = True,
    push: bool = True,
    commit: bool = False,
    base_url: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> State:
    """Pulls, ingests what is new in the source, brings the rest up to date, pushes, and commits on request.

    A stage that fails, or a gate, ends it before anything is pushed or committed.

    Args:
        project: The folder that holds dvc.yaml and params.yaml.
        pull: `dvc pull` first, if the project has a remote.
        push: `dvc push` afterwards, if the project has a remote.
        commit: Commit dvc.lock and the figures to Git, and nothing else, if they changed.
        base_url: Where the project's folder is served, for links to the report and the set.
        limits: How often and how long to try.
    """

    project = project.resolve()

    def work() -> Outcome:
        remote = dvc.has_remote(project)
        if pull and remote:
            # a project's first run has pushed nothing yet
            done(transfer.with_options(**limits.options("pull"))("pull", ["--allow-missing"], project))
        outcome = bring_up_to_date(project, [], False, limits, base_url)
        if push and remote:
            done(transfer.with_options(**limits.options("push"))("push", [], project))
        if commit and done(commit_lock(project, outcome.sentence)):
            outcome.sentence += "; committed dvc.lock"
        return outcome

    return unattended(project, work)


@task(task_run_name="{command}", cache_policy=NO_CACHE, retry_condition_fn=may_pass)
@plain
def transfer(command: str, options: list[str], project: Path) -> None:
    """Runs `dvc pull` or `dvc push`.

    Raises:
        BusyError: it failed, as remotes do now and then.
    """
    output = Output(project, command)
    code = run_guarded([*dvc.DVC, command, *options], project, output.take)
    if code:
        raise BusyError(f"dvc {command}: {dvc.failure(list(output.lines), code)}")


@task(task_run_name="commit", cache_policy=NO_CACHE)
@plain
def commit_lock(project: Path, message: str) -> bool:
    """Commits ``dvc.lock`` and the outputs that Git holds, and nothing else; False if none has changed.

    Raises:
        UserError: Git refused.
    """
    paths = [str(path) for path in dvc.tracked_by_git(project)]
    _git(project, "add", "--", *paths)
    if not _git(project, "diff", "--cached", "--name-only", "--", *paths):
        return False
    _git(project, "commit", "--quiet", "--message", f"Refresh: {message}", "--", *paths)
    return True


def _git(project: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", *command], cwd=project, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        raise UserError(f"git {command[0]}: {done.stderr.strip()}")
    return done.stdout
