"""Where images come from. Each source gives a :class:`Listing` and its images, and all end in the same store."""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources.archives import open_archive
from pipeline.sources.base import BadImageError, Listing, Payload, Source
from pipeline.sources.files import FolderSource

__all__ = ["SOURCES", "BadImageError", "Listing", "Payload", "Source", "open_source"]


def _table(data: DataParams, path: Path) -> Source:  # noqa: ARG001
    from pipeline.sources.tables import open_table  # pyarrow takes its time

    return open_table(path)


def _torchvision(data: DataParams, path: Path) -> Source:
    from pipeline.sources.vision import TorchvisionSource  # likewise torchvision

    return TorchvisionSource(data.dataset, path, data.download)


SOURCES: dict[str, Callable[[DataParams, Path], Source]] = {
    "digits": lambda _, path: open_archive(path),
    "archive": lambda _, path: open_archive(path),
    "folder": lambda _, path: FolderSource(path),
    "table": _table,
    "torchvision": _torchvision,
}
"""What opens each ``data.source``, from the choices and the place that ``data.path`` names."""


def open_source(data: DataParams, root: Path) -> Source:
    """The images that ``data`` names; ``data.path`` is relative to ``root``, the project's folder.

    Raises:
        UserError: nothing there, not readable, or nothing of use in it.
    """
    source = SOURCES[data.source](data, root / data.path)
    if len(source.listing.classes) < 2:
        only = ", ".join(source.listing.classes) or "none"
        raise UserError(f"data.path: {root / data.path}: one class at most ({only}); a classifier needs two or more")
    return source
