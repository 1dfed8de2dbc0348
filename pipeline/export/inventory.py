"""The images of a set as they lie on the disk, against the rows of its manifest."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pipeline.errors import UserError
from pipeline.export.work import image_name
from pipeline.formats import open_reader
from pipeline.formats.base import Stored
from pipeline.formats.manifest import MANIFEST, About, Row, read_rows
from pipeline.provenance import Mark, read_mark


@dataclass(frozen=True, slots=True)
class Listed:
    """What a row says of its image."""

    digest: str
    label: int
    index: int
    synthetic: bool


def place(file: str, name: str) -> str:
    """Where an image lies: its file, or the shard and the image's name in it."""
    return file if Path(file).stem == name else f"{file}:{name}"


class Inventory:
    """What is wrong with the images of a set.

    Attributes:
        rows: of the manifest.
        listed: every row of the manifest by :func:`place`; those that were found fall out of it.
        added: digests of what no row lists, by place.
        changed: digests of what is not as its row says, by place.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self._folder, self._about = folder, about
        self.rows = 0
        self.listed: dict[str, Listed] = {}
        self.added: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def problems(self) -> Iterator[str]:
        """One line for each, the place first.

        Raises:
            UserError: the manifest cannot be read.
        """
        yield from self._list()
        yield from self._find()
        yield from self._missing()
        yield from (f"{where}: added; {MANIFEST} does not list it" for where in self.added)
        yield from self._changed()

    def _list(self) -> Iterator[str]:
        for row in read_rows(self._folder / MANIFEST):
            self.rows += 1
            where = place(row.file, row.name)
            if where in self.listed:
                yield f"{where}: listed twice in {MANIFEST}"
            if wrong := self._wrong(row):
                yield f"{where}: its row in {MANIFEST} has {', '.join(wrong)} of another image or set"
            self.listed[where] = Listed(row.sha256, row.label_index, row.index, row.synthetic)

    def _wrong(self, row: Row) -> list[str]:
        """The columns that contradict the others, or what the manifest says of the whole set."""
        about, classes = self._about, self._about.classes
        expected = {
            "label": classes[row.label_index] if 0 <= row.label_index < len(classes) else None,
            "name": image_name(row.split, row.label_index, row.index, row.synthetic),
            "split": row.split if row.split in about.splits else None,
            "generator": about.generator if row.synthetic else None,
            "seed": about.seed if row.synthetic else None,
        }
        return [column for column, value in expected.items() if getattr(row, column) != value]

    def _find(self) -> Iterator[str]:
        reader = open_reader(self._folder, self._about)
        for file in reader.files():
            try:
                for image in reader.read(file):
                    yield from self._take(image)
            except UserError as error:
                yield f"{file.as_posix()}: {error}"

    def _take(self, image: Stored) -> Iterator[str]:
        where, digest = place(image.file, image.name), hashlib.sha256(image.data).hexdigest()
        row = self.listed.pop(where, None)
        if row is None:
            self.added[where] = digest
        elif row.digest != digest:
            self.changed[where] = digest
        else:
            if image.label != row.label:
                yield f"{where}: relabelled; {MANIFEST} says {self._about.classes[row.label]}"
            yield from self._unmarked(where, image, row)

    def _unmarked(self, where: str, image: Stored, row: Listed) -> Iterator[str]:
        about, expected = self._about, None
        if row.synthetic and about.params["export"]["mark"]:
            expected = Mark(about.generator, about.classes[row.label], row.index, about.seed)
        try:
            mark = read_mark(BytesIO(image.data))
        except UserError as error:
            yield f"{where}: {error}"
            return
        if mark != expected:
            yield f"{where}: " + (
                "without its synthetic-media mark" if mark is None else "with a mark of another image"
            )

    def _missing(self) -> Iterator[str]:
        """What is missing here and was added there has another label, or another name."""
        strangers = {digest: where for where, digest in self.added.items()}
        for where, row in self.listed.items():
            if row.digest in strangers:
                self.added.pop(strangers[row.digest], None)
                yield f"{where}: relabelled or renamed; it lies at {strangers[row.digest]}"
            else:
                yield f"{where}: missing"

    def _changed(self) -> Iterator[str]:
        digests = set(self.changed.values())
        owners = {
            row.sha256: place(row.file, row.name) for row in read_rows(self._folder / MANIFEST) if row.sha256 in digests
        }
        for where, digest in self.changed.items():
            holds = f"; it holds what belongs at {owners[digest]}" if digest in owners else ""
            yield f"{where}: changed since it was written{holds}"
