"""What a format of an exported set has to do: write the images of a part, close the set, and give images back."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.formats.manifest import Row


@dataclass(frozen=True)
class Item:
    """An image on its way into a set.

    Attributes:
        name: unique in the set, without an extension (``synthetic-3-000012``).
        split: ``train``, ``val`` or ``test``; synthetic images are ``train``.
        label: index of the class.
        content: the image as a file, see :func:`pipeline.formats.encoding.encode`.
    """

    name: str
    split: str
    label: int
    content: bytes


class Written(NamedTuple):
    """Where an image lies: a file of the set, or a shard of it, as a POSIX path below the set's folder.

    ``sha256`` is that of the encoded image's bytes, in a shard too.
    """

    file: str
    sha256: str


class Stored(NamedTuple):
    """An encoded image as found in a set."""

    file: str
    name: str
    label: int
    data: bytes


class Writer(Protocol):
    """Writes a set part by part.

    A part is some images in the set's order, all of one split. Parts are numbered from 0 and written by several
    threads at once, one thread a part, in any order. Writing a part again gives the same bytes in the same place.
    """

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:
        """Writes the images; returns where each lies, in order."""
        ...

    def close(self) -> None:
        """Writes what describes the whole set in this format, once every part and ``manifest.parquet`` are there."""
        ...


class Reader(Protocol):
    """Finds the images of a set."""

    def __iter__(self) -> Iterator[Stored]:
        """Every image, in a fixed order, as found on the disk and not by the manifest."""
        ...

    def files(self) -> Iterator[Path]:
        """Every file in the folder of images or shards, expected or not, relative to the set's folder."""
        ...

    def own(self, rows: Iterable[Row]) -> dict[str, str]:
        """The digest of each file that the writer leaves beside the images or shards of ``rows``, the manifest's."""
        ...

    def folders(self) -> set[str]:
        """Every folder that the set may have."""
        ...

    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one of :meth:`files`; a label that cannot be told is -1.

        Raises:
            UserError: the file cannot be read; what could be came before.
        """
        ...
