"""Formats of an exported set: writers and readers by name, the manifest, and what describes the set beside them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.formats.base import Reader, Stored, Writer
from pipeline.formats.card import CARD, render_card
from pipeline.formats.croissant import CROISSANT, render_croissant
from pipeline.formats.imagefolder import ImageFolderReader, ImageFolderWriter
from pipeline.formats.manifest import MANIFEST, About, count_images
from pipeline.formats.parquet import ParquetReader, ParquetWriter
from pipeline.formats.webdataset import WebDatasetReader, WebDatasetWriter

__all__ = ["FORMATS", "describe", "open_reader", "open_writer", "read_file"]

FORMATS: dict[str, tuple[Callable[[Path, About], Writer], Callable[[Path, About], Reader]]] = {
    "imagefolder": (
        lambda root, about: ImageFolderWriter(root, about.classes, about.splits, about.encoding.extension),
        lambda root, about: ImageFolderReader(root, about.classes, about.splits),
    ),
    "webdataset": (
        lambda root, about: WebDatasetWriter(root, about.encoding.extension),
        lambda root, about: WebDatasetReader(root),  # noqa: ARG005
    ),
    "parquet": (
        lambda root, about: ParquetWriter(root, about.classes, about.encoding.extension),
        lambda root, about: ParquetReader(root),  # noqa: ARG005
    ),
}


def open_writer(root: Path, about: About) -> Writer:
    """What writes the set ``about`` below ``root``."""
    return FORMATS[about.format][0](root, about)


def read_file(root: Path, file: Path) -> Iterator[Stored]:
    """The images in one file of a set of any format; in a shard with their labels.

    Raises:
        UserError: the file cannot be read.
    """
    readers: dict[str, Callable[[Path], Reader]] = {".tar": WebDatasetReader, ".parquet": ParquetReader}
    reader = readers[file.suffix](root) if file.suffix in readers else ImageFolderReader(root, (), ())
    return reader.read(file)


def describe(root: Path, about: About, quality: dict[str, Any] | None) -> None:
    """Writes the dataset card and the Croissant metadata of a set that is otherwise complete.

    Args:
        root: the set's folder, with its manifest.
        about: what is true of the whole set.
        quality: the content of ``metrics/quality.json``, if there is any.
    """
    counts = count_images(root / MANIFEST)
    (root / CARD).write_text(render_card(about, counts, quality, None), encoding="utf-8")
    write_json(root / CROISSANT, render_croissant(root, about, counts.total()))


def open_reader(root: Path, about: About) -> Reader:
    """What finds the images of the set ``about`` below ``root``; see :func:`pipeline.formats.manifest.read_about`."""
    return FORMATS[about.format][1](root, about)
