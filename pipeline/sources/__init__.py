"""Where images come from. Each source gives a :class:`Listing` and its images, and all end in the same store."""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.remote.addresses import is_url
from pipeline.remote.fetching import fetch
from pipeline.sources.archives import open_archive
from pipeline.sources.base import BadImageError, Listing, Payload, Source
from pipeline.sources.files import FolderSource
from pipeline.workspace import Workspace

__all__ = ["SOURCES", "BadImageError", "Listing", "Payload", "Source", "brought", "open_source"]


def _table(data: DataParams, path: Path) -> Source:
    from pipeline.sources.tables import open_table  # pyarrow takes its time

    return open_table(path, data.label_column)


def _npz(data: DataParams, path: Path) -> Source:
    from pipeline.sources.npz import NpzSource

    return NpzSource(path, data.label_column)


def _huggingface(data: DataParams, path: Path) -> Source:
    from pipeline.sources.huggingface import open_set  # likewise pyarrow, and `datasets`

    return open_set(path, data.dataset, data.download, data.label_column)


def _torchvision(data: DataParams, path: Path) -> Source:
    from pipeline.sources.vision import TorchvisionSource  # likewise torchvision

    return TorchvisionSource(data.dataset, path, data.download)


SOURCES: dict[str, Callable[[DataParams, Path], Source]] = {
    "digits": lambda _, path: open_archive(path),
    "archive": lambda _, path: open_archive(path),
    "folder": lambda _, path: FolderSource(path),
    "table": _table,
    "npz": _npz,
    "huggingface": _huggingface,
    "torchvision": _torchvision,
}
"""What opens each ``data.source``, from the choices and the place that ``data.path`` names."""


def brought(data: DataParams, root: Path) -> DataParams:
    """``data`` with the place of a local copy where ``data.path`` is an address.

    Raises:
        UserError, BusyError: as :func:`pipeline.remote.fetching.fetch`.
    """
    if not is_url(data.path):
        return data
    return data.model_copy(update={"path": str(fetch(data.path, Workspace(root).scratch / "remote").absolute())})


def open_source(data: DataParams, root: Path) -> Source:
    """The images that ``data`` names; ``data.path`` is relative to ``root``, the project's folder.

    What lies behind an address is fetched first; see :mod:`pipeline.remote`.

    Raises:
        UserError: nothing there, not readable, or nothing of use in it.
        BusyError: an address that cannot be reached now.
    """
    data = brought(data, root)
    path = root / data.path
    source = SOURCES[data.source](data, path)
    if len(source.listing.classes) < 2:
        only = ", ".join(source.listing.classes) or "none"
        raise UserError(f"data.path: {path}: one class at most ({only}); a classifier needs two or more")
    return source
