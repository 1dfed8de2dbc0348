"""The image-folder layout, one folder a class, as ``torchvision.datasets.ImageFolder`` and many others read it."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from pipeline.disk import write_at
from pipeline.errors import UserError
from pipeline.formats.base import Item, Stored, Written
from pipeline.formats.manifest import MANIFEST, Row, read_rows
from pipeline.formats.names import folder_names

IMAGES, METADATA, KEEP = "images", "metadata.jsonl", ".keep"
MAX_BYTES = 64 * 2**20


class Layout:
    """Which folder, below the set's, holds the images of a split and class."""

    def __init__(self, classes: Sequence[str], splits: Sequence[str]) -> None:
        self.roots = {split: f"{IMAGES}/{split}" if len(splits) > 1 else IMAGES for split in splits}
        names = folder_names(classes)
        self.folders = {split: [f"{root}/{name}" for name in names] for split, root in self.roots.items()}
        self.labels = {folder: label for folders in self.folders.values() for label, folder in enumerate(folders)}


class ImageFolderWriter:
    """Writes ``<root>/images/<class>/<name>.png``; ``<root>/images/<split>/<class>/…`` when there are several splits.

    Every class has its folder, also one that gets no image: a reader numbers the classes by their sorted folders, and
    a missing one would shift all labels after it without a word. (torchvision reads an empty one with
    ``allow_empty=True``.) Such a folder holds an empty hidden file, as git and DVC keep no empty folders.

    Args:
        root: the set's folder; made if need be.
        classes: class names; a label is an index into them. Names that file systems dislike are percent-encoded.
        splits: those that occur.
        ending: of the images' files, without a dot.

    Raises:
        UserError: a class name that cannot be a folder's (see :func:`pipeline.formats.names.folder_names`).
    """

    def __init__(self, root: Path, classes: Sequence[str], splits: Sequence[str], ending: str) -> None:
        self.root = root
        self._layout, self._ending = Layout(classes, splits), ending
        for folder in self._layout.labels:
            (root / folder).mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:  # noqa: ARG002  (see Writer)
        """One file an image; see :class:`pipeline.formats.base.Writer`."""
        written = []
        for item in items:
            file = f"{self._layout.folders[item.split][item.label]}/{item.name}.{self._ending}"
            with open(f"{self.root}/{file}", "wb", buffering=0) as out:  # noqa: PTH123  (half the time of a Path's)
                write_at(out.fileno(), item.content, 0)
            written.append(Written(file, hashlib.sha256(item.content).hexdigest()))
        return written

    def close(self) -> None:
        """Marks the folders that got no image, and writes ``metadata.jsonl`` for Hugging Face's loader."""
        for folder in self._layout.labels:
            if not any((self.root / folder).iterdir()):
                (self.root / folder / KEEP).touch()
        with ExitStack() as stack:
            files = {
                split: stack.enter_context((self.root / root / METADATA).open("w", encoding="utf-8", newline="\n"))
                for split, root in self._layout.roots.items()
            }
            for row in read_rows(self.root / MANIFEST):
                files[row.split].write(_metadata(row, self._layout.roots[row.split]))


class ImageFolderReader:
    """Finds the images that :class:`ImageFolderWriter` wrote; see :class:`pipeline.formats.base.Reader`."""

    def __init__(self, root: Path, classes: Sequence[str], splits: Sequence[str]) -> None:
        self.root = root
        self._layout = Layout(classes, splits)

    def __iter__(self) -> Iterator[Stored]:
        """Every image, folder by folder."""
        for file in self.files():
            yield from self.read(file)

    def files(self) -> Iterator[Path]:
        """Every file in the folder of images that is not the layout's own."""
        own = {f"{root}/{METADATA}" for root in self._layout.roots.values()}
        own |= {f"{folder}/{KEEP}" for folder in self._layout.labels}
        for place, folders, names in os.walk(self.root / IMAGES):
            folders.sort()
            found = [Path(place, name).relative_to(self.root) for name in sorted(names)]
            yield from (file for file in found if file.as_posix() not in own)

    def own(self, rows: Iterable[Row]) -> dict[str, str]:
        """The metadata, and what holds the folders of classes without images."""
        metadata = {split: hashlib.sha256() for split in self._layout.roots}
        empty = set(self._layout.labels)
        for row in rows:
            if row.split in metadata:
                metadata[row.split].update(_metadata(row, self._layout.roots[row.split]).encode())
            empty.discard(row.file.rpartition("/")[0])
        kept = {f"{folder}/{KEEP}": hashlib.sha256().hexdigest() for folder in empty}
        return kept | {f"{self._layout.roots[split]}/{METADATA}": each.hexdigest() for split, each in metadata.items()}

    def folders(self) -> set[str]:
        """Those of the splits and classes."""
        return {IMAGES, *self._layout.roots.values(), *self._layout.labels}

    def read(self, file: Path) -> Iterator[Stored]:
        """The one image in ``file``; its label is -1 in a folder that is no class's."""
        label = self._layout.labels.get(file.parent.as_posix(), -1)
        try:
            with (self.root / file).open("rb") as image:
                content = image.read(MAX_BYTES + 1)
        except OSError as error:
            raise UserError(f"{self.root / file}: cannot be read ({error})") from None
        if len(content) > MAX_BYTES:
            raise UserError(f"{self.root / file}: larger than any image of a set")
        yield Stored(file.as_posix(), file.stem, label, content)


def _metadata(row: Row, root: str) -> str:
    """A line of the metadata that lies in ``root``."""
    line = {
        "file_name": row.file.removeprefix(f"{root}/"),
        "label": row.label,
        "label_index": row.label_index,
        "synthetic": row.synthetic,
        "index": row.index,
        # never null: the loader takes a column's type from its first rows
        "generator": row.generator or "",
        "sha256": row.sha256,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"
