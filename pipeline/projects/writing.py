"""Putting a project's files into a folder: none that is there already is touched; what differs is said."""

import difflib
import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import Params, load_params
from pipeline.remote.addresses import is_url
from pipeline.remote.fetching import has_etag

PARAMS = "params.yaml"
DVC_SCHEMES = {
    **dict.fromkeys(("http", "https"), "dvc_http"),
    **{"s3": "dvc_s3", "gs": "dvc_gs", "azure": "dvc_azure", "ssh": "dvc_ssh"},
}
"""Addresses that DVC itself watches, with the package that it needs for them."""
SHOWN = 40  # lines of a difference


@dataclass(frozen=True)
class State:
    """A file of the project, as it is and as it would be.

    Attributes:
        name: relative to the project.
        text: as it would be written.
        found: what is there; None for nothing.
    """

    name: str
    text: str
    found: str | None

    @property
    def same(self) -> bool:
        """Whether nothing has to be said of it."""
        return self.found == self.text


def states(folder: Path, texts: Mapping[str, str]) -> list[State]:
    """Each file of ``texts`` in ``folder``.

    Raises:
        UserError: ``folder`` is a file, or one of the files is no text.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: this is a file; name a folder for the project")
    return [State(name, text, _read(folder / name)) for name, text in texts.items()]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"{path}: there is something here that augmint did not write ({error}); move it away") from None


def differences(state: State, folder: Path, params: Params) -> Iterator[str]:
    """What differs between a file that is there and the one that would be written, line by line.

    Of params.yaml it is the choices, not the comments, and what is not written there is not said to be missing.
    """
    assert state.found is not None
    if state.name == PARAMS:
        with suppress(UserError):  # one that cannot be read is shown as a text
            yield from _choices(load_params(folder / PARAMS), params)
            return
    mine, new = state.found.splitlines(), state.text.splitlines()
    for number, line in enumerate(difflib.unified_diff(mine, new, "yours", "proposed", n=0, lineterm="")):
        if number > SHOWN:
            yield "…"
            return
        yield line


def _choices(here: Params, proposed: Params) -> Iterator[str]:
    mine, new = (dict(_leaves(params.model_dump(mode="json"))) for params in (here, proposed))
    for key, value in new.items():
        if mine.get(key) != value:
            yield f"{key}: {mine.get(key)} here, {value} proposed"


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def write(folder: Path, files: list[State]) -> list[str]:
    """Writes the files that are not there yet; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for state in files:
        if state.found is None:
            with (folder / state.name).open("x", encoding="utf-8") as file:  # never over one that came meanwhile
                file.write(state.text)
            written.append(state.name)
    return written


def git_root(folder: Path) -> Path | None:
    """The Git repository that ``folder`` lies in or is; None where there is none."""
    return next((place for place in (folder, *folder.absolute().parents) if (place / ".git").exists()), None)


def init_dvc(folder: Path) -> bool:
    """Makes ``folder`` a project of DVC, unless it is one; returns whether it was made.

    Nothing is added to Git's index: what to commit is the user's choice, and in a repository around the project too.
    """
    if (folder / ".dvc").exists():
        return False
    from dvc.exceptions import InitError  # takes its second
    from dvc.repo import Repo
    from dvc.repo.scm_context import SCMContext

    root = git_root(folder)
    with _changed(SCMContext, "track_file", _leave), _changed(logging.getLogger("dvc.repo.init"), "disabled", True):
        try:
            repo = Repo.init(str(folder), no_scm=root is None, subdir=root not in (None, folder.absolute()))
        except InitError:  # Git is told to ignore the folder
            repo = Repo.init(str(folder), no_scm=True)
        with repo, repo.config.edit("repo") as config:
            config["core"] |= {"analytics": False, "check_update": False}
    return True


def _leave(context: object, paths: object) -> None:
    """In the place of DVC's own, which stages what it has written."""


@contextmanager
def _changed(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def dvc_watches(path: str) -> bool:
    """Whether DVC can tell that what lies at ``path`` has changed."""
    if not is_url(path):
        return True
    scheme = path.partition("://")[0].lower()  # of a chain the whole, which DVC does not know
    package = DVC_SCHEMES.get(scheme)
    if package is None or importlib.util.find_spec(package) is None:
        return False
    return has_etag(path) if scheme.startswith("http") else True  # DVC refuses a server that tells no versions


def writable(folder: Path) -> Path:
    """The nearest folder there is, in which ``folder`` can be made.

    Raises:
        UserError: it may not be written to.
    """
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"{place}: may not be written to; name another folder for the project")
    return place
