"""Where images come from. Each source gives a :class:`Listing` and its images, and all end in the same store."""

from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources.base import BadImageError, Listing, Payload, Source
from pipeline.sources.files import FolderSource, open_archive

__all__ = ["BadImageError", "Listing", "Payload", "Source", "open_source"]


def open_source(data: DataParams, root: Path) -> Source:
    """The images that ``data`` names; ``data.path`` is relative to ``root``, the project's folder.

    Raises:
        UserError: nothing there, not readable, or nothing of use in it.
    """
    source = _opened(data, root / data.path)
    if len(source.listing.classes) < 2:
        only = ", ".join(source.listing.classes) or "none"
        raise UserError(f"data.path: {root / data.path}: one class at most ({only}); a classifier needs two or more")
    return source


def _opened(data: DataParams, path: Path) -> Source:
    if data.source == "folder":
        return FolderSource(path)
    if data.source == "table":
        from pipeline.sources.tables import open_table  # pyarrow takes its time

        return open_table(path)
    if data.source == "torchvision":
        from pipeline.sources.vision import TorchvisionSource  # likewise torch

        return TorchvisionSource(data.dataset, path, data.download)
    return open_archive(path)
