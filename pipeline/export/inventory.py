"""The images of a set as they lie on the disk, against the rows of its manifest."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pipeline.errors import UserError
from pipeline.export.placing import Places
from pipeline.export.shards import foreign
from pipeline.export.work import image_name
from pipeline.formats import open_reader
from pipeline.formats.base import Stored
from pipeline.formats.manifest import MANIFEST, About, Row, read_rows
from pipeline.provenance import Mark, params_hash, read_mark


@dataclass(frozen=True, slots=True)
class Listed:
    """What a row says of its image, and which row of the manifest it is."""

    digest: str
    label: int
    index: int
    synthetic: bool
    number: int


def place(file: str, name: str) -> str:
    """Where an image lies: its file, or the shard and the image's name in it."""
    return file if Path(file).stem == name else f"{file}:{name}"


class Inventory:
    """What is wrong with the images of a set.

    Attributes:
        files: the files that hold images, by the manifest.
        listed: every row of the manifest by :func:`place`; those that were found fall out of it.
        added: digests of what no row lists, by place.
        changed: digests of what is not as its row says, by place.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self._folder, self._about = folder, about
        self._reader = open_reader(folder, about)
        self._params, self._classes = params_hash(about.params), dict(enumerate(about.classes))
        self.rows = 0
        self.files: set[str] = set()
        self.listed: dict[str, Listed] = {}
        self.added: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def list_rows(self) -> Iterator[str]:
        """Reads the manifest: a line for each row that contradicts another, or what holds for the whole set.

        Raises:
            UserError: the manifest cannot be read.
        """
        places = Places(self._about)
        for row in read_rows(self._folder / MANIFEST):
            where = place(row.file, row.name)
            if where in self.listed:
                yield f"{where}: listed twice in {MANIFEST}"
            if wrong := self._wrong(row):
                yield f"{where}: its row in {MANIFEST} has {', '.join(wrong)} of another image or set"
            elif said := places.fault(row):
                yield f"{where}: its row in {MANIFEST} {said}"
            self.listed[where] = Listed(row.sha256, row.label_index, row.index, row.synthetic, self.rows)
            self.files.add(row.file)
            self.rows += 1

    def compare(self, files: Iterable[str]) -> Iterator[str]:
        """Reads the images in ``files``: a line for each that is not as :meth:`list_rows` found it listed."""
        for file in files:
            try:
                yield from self._read(Path(file))
            except UserError as error:
                yield f"{file}: {error}"
        yield from self._missing()
        yield from (f"{where}: added; {MANIFEST} does not list it" for where in self.added)
        yield from self._changed()

    def _wrong(self, row: Row) -> list[str]:
        """The columns that contradict the others, or what the manifest says of the whole set."""
        about = self._about
        expected = {
            "label": self._classes.get(row.label_index),
            "name": image_name(row.split, row.label_index, row.index, row.synthetic),
            "split": row.split if row.split in about.splits else None,
            "generator": about.generator if row.synthetic else None,
            "seed": about.seed if row.synthetic else None,
            "params": self._params,
            "augmint": about.augmint,
        }
        return [column for column, value in expected.items() if getattr(row, column) != value]

    def _read(self, file: Path) -> Iterator[str]:
        shard, last = self._about.format != "imagefolder", -1
        for image in self._reader.read(file):
            number = yield from self._take(image)
            if number < last:
                yield f"{place(image.file, image.name)}: not in the order of {MANIFEST}"
            last = max(last, number)
        if shard and (said := foreign(self._folder, file, self._about)):
            yield f"{file.as_posix()}: {said}"

    def _take(self, image: Stored) -> Generator[str, None, int]:
        """Compares an image with its row; returns the row's number, or -1 if there is none."""
        where, digest = place(image.file, image.name), hashlib.sha256(image.data).hexdigest()
        row = self.listed.pop(where, None)
        if row is None:
            self.added[where] = digest
            return -1
        if row.digest != digest:
            self.changed[where] = digest
        else:
            if image.label != row.label:
                yield f"{where}: relabelled; {MANIFEST} says {self._classes.get(row.label)}"
            yield from self._unmarked(where, image, row)
        return row.number

    def _unmarked(self, where: str, image: Stored, row: Listed) -> Iterator[str]:
        about, expected = self._about, None
        if row.synthetic and about.params["export"]["mark"]:
            label = self._classes.get(row.label, "")
            expected = Mark(about.generator, label, row.index, about.seed, about.truncation)
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
