"""One side of a comparison: a folder as it is, or what Git and DVC keep of a revision or an experiment."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import NoSCM, RevError

from pipeline.binding import STAGES
from pipeline.errors import UserError
from pipeline.workspace import Workspace

METRICS = tuple(f"metrics/{name}.json" for name in STAGES)
PICTURES = {
    "plots/evaluate/grid.png": "Real images that the generator never saw, and synthetic ones, class by class.",
    "plots/train/samples.png": "Draws of the generator that ships, class by class.",
}
FETCHED = ("params.yaml", "dvc.lock", *METRICS, *PICTURES)
"""What is looked at: the files that are small, so that a comparison needs no copy of images or weights."""


@dataclass(frozen=True)
class Side:
    """A project's results.

    Attributes:
        name: as it was asked for.
        revision: the commit, or ``None`` of a folder.
        workspace: where its files lie; of a revision no more than :data:`FETCHED`.
        absent: files that its revision names and that could not be had, with the reason.
    """

    name: str
    revision: str | None
    workspace: Workspace
    absent: dict[str, str]


@contextmanager
def opened(name: str) -> Iterator[Side]:
    """The folder ``name``, or the revision or experiment of the project in the working folder that is called so.

    Raises:
        UserError: there is neither, or nothing in it that a stage wrote.
    """
    if _is_folder(name):
        side = Side(name, None, Workspace(Path(name)), {})
        _check(side)
        yield side
        return
    with tempfile.TemporaryDirectory(prefix="augmint-") as folder:
        side = _checked_out(name, Path(folder))
        _check(side)
        yield side


def _is_folder(name: str) -> bool:
    """A folder that is no project may be called like a branch."""
    path = Path(name)
    project = any((path / file).exists() for file in ("params.yaml", "dvc.yaml", "metrics"))
    return bool(name) and path.is_dir() and (project or os.sep in name or name in (os.curdir, os.pardir))


def _check(side: Side) -> None:
    if not any((side.workspace.root / name).is_file() for name in METRICS):
        place = f"{side.name}: " + ("no such results in this revision" if side.revision else "nothing to compare here")
        todo = "compare one that has them in Git" if side.revision else "run `dvc repro` in it first"
        raise UserError(f"{place}: no file in metrics/ that a stage of augmint writes; {todo}")


def _checked_out(name: str, folder: Path) -> Side:
    try:
        with Repo() as repo:
            if isinstance(repo.scm, NoSCM):
                raise UserError(f"{name}: no such folder; and this project has no Git, so that there are no revisions")
            home = os.path.relpath(Path.cwd(), repo.root_dir)
            if not name:
                raise RevError("no name")
            with repo.switch(name) as revision:
                return Side(name, revision, Workspace(folder), _fetch(repo, Path(home), folder))
    except NotDvcRepoError:
        raise UserError(
            f"{name}: no such folder; and this is no DVC project, so that there are no revisions or experiments"
        ) from None
    except RevError:
        raise UserError(
            f"{name}: neither a folder nor a Git revision or experiment of this project (see `git log`, `dvc exp show`)"
        ) from None
    except DvcException as error:
        raise UserError(f"{name}: DVC cannot open this revision ({error})") from None


def _fetch(repo: Repo, home: Path, folder: Path) -> dict[str, str]:
    """Copies what the revision has of :data:`FETCHED`; what it names and cannot be had, with the reason."""
    absent = {}
    for name in FETCHED:
        place = (Path("/") / home / name).as_posix()
        target = folder / name
        try:
            content = repo.dvcfs.read_bytes(os.path.normpath(place))
        except FileNotFoundError:
            if repo.dvcfs.exists(os.path.normpath(place)):
                absent[name] = "not in DVC's cache; `dvc fetch --all-commits` may bring it"
            continue
        except (OSError, DvcException) as error:
            absent[name] = f"cannot be had ({error})"
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return absent
