"""DVC, as the flows use it: the order of its stages, which of them are out of date, and why one failed."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import networkx
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from pipeline.errors import BusyError, UnexpectedError, UserError
from pipeline.plain_yaml import read_mapping
from pipeline.workspace import Workspace

DVC = (sys.executable, "-m", "dvc")
DVC_FILE = "dvc.yaml"
KILLED = (-9, 137)  # SIGKILL, as DVC and as a shell report it: most often the system was out of memory


def stages(project: Path, targets: Sequence[str] = ()) -> list[str]:
    """The stages of ``project`` in the order in which DVC runs them: all, or ``targets``, and what they depend on.

    The folder may lie within a larger DVC project, or hold others: its own are the stages of its ``dvc.yaml``, as for
    `dvc repro`. What they depend on elsewhere is named from the folder on (``../prepare/dvc.yaml:clean``).

    Raises:
        UserError: no DVC project, a ``dvc.yaml`` that cannot be read, or no such stage.
    """
    with _repo(project) as repo:
        graph = repo.index.graph  # an edge leads from a stage to one that it depends on
        places = [_located(project, target) for target in targets] or [str(project.resolve() / DVC_FILE)]
        wanted = [stage for place in places for stage in repo.stage.collect(place)]
        nodes = {node for stage in wanted for node in (stage, *networkx.descendants(graph, stage))}
        ordered = networkx.dfs_postorder_nodes(graph)
        return [_name(project, stage) for stage in ordered if stage in nodes and stage.cmd]


def out_of_date(project: Path, targets: Sequence[str]) -> list[str]:
    """Those of ``targets`` that DVC would run now, in the given order.

    Raises:
        UserError: as :func:`stages`.
    """
    with _repo(project) as repo:
        located = {name: _located(project, name) for name in targets}
        status = repo.status(targets=list(located.values())) if targets else {}
        called = {name: repo.stage.collect(place)[0].addressing for name, place in located.items()}
    return [name for name in targets if called[name] in status]


def tracked_by_git(project: Path) -> list[Path]:
    """``dvc.lock`` and the outputs of the project's stages that are in Git, such as figures; those that exist."""
    names = stages(project)
    with _repo(project) as repo:
        own = [stage for name in names for stage in repo.stage.collect(_located(project, name))]
        locks = [Path(stage.path).with_name("dvc.lock") for stage in own]
        outputs = [Path(out.fs_path) for stage in own for out in stage.outs if not out.use_cache]
    return [path for path in dict.fromkeys((*locks, *outputs)) if path.exists()]


def has_remote(project: Path) -> bool:
    """Whether the project names a place to push to and pull from."""
    with _repo(project) as repo:
        return bool(repo.config["core"].get("remote"))


def _located(project: Path, target: str) -> str:
    """The address of a stage, which DVC would look for from the working directory, wherever that is."""
    file, _, name = target.rpartition(":")
    return f"{project.resolve() / (file or DVC_FILE)}:{name}"


def _name(project: Path, stage: Any) -> str:
    """What :func:`_located` locates: a stage's name, with its file before it if that is not the project's own."""
    file = Path(os.path.relpath(stage.path, project.resolve())).as_posix()
    return stage.name if file == DVC_FILE else f"{file}:{stage.name}"


@contextmanager
def _repo(project: Path) -> Iterator[Any]:
    """A DVC project, its own errors turned into ours."""
    with suppress(FileNotFoundError):  # DVC reads the file too, and takes hours for aliases of aliases
        read_mapping(Workspace(project).params)
    try:
        with Repo(str(project)) as repo:
            yield repo
    except LockError as error:
        raise BusyError(f"{project}: {error}") from None
    except DvcException as error:
        raise UserError(f"{project}: {error}") from None


def failure(lines: Sequence[str], code: int) -> UserError:
    """Why ``dvc`` ended with ``code``, from its last lines: a :class:`BusyError` if it may pass by itself."""
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = "\n".join(errors) or f"dvc ended with exit code {code}"
    found = re.search(r"exited with (-?\d+)$", reason, re.MULTILINE)
    status = int(found[1]) if found else code
    if status in (UserError.exit_code, BusyError.exit_code, UnexpectedError.exit_code):
        reason = _said(lines) or reason
    passes = status in (BusyError.exit_code, *KILLED) or "is being blocked by" in reason or "acquire lock" in reason
    return BusyError(reason) if passes else UserError(reason)


def _said(lines: Sequence[str]) -> str:
    """augmint's own message: its last one, up to DVC's."""
    starts = [number for number, line in enumerate(lines) if line.startswith("augmint: ")]
    message: list[str] = []
    for line in lines[starts[-1] :] if starts else []:
        if line.startswith("ERROR: "):
            break
        message.append(line)
    return "\n".join(message).removeprefix("augmint: ").strip()
