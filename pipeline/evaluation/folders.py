"""Folders of images, one folder a class, brought to arrays of one shape."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.disk import write_blocks
from pipeline.errors import UserError
from pipeline.formats.manifest import MANIFEST, read_about
from pipeline.ingest.decode import Target
from pipeline.ingest.opening import quiet
from pipeline.ingest.reading import Pixels, Records, first_bad, read_all
from pipeline.ingest.settling import settle
from pipeline.metrics.distances import spans
from pipeline.metrics.embedded import Images
from pipeline.params import GreyRange
from pipeline.sources import Listing
from pipeline.sources.base import FORMATS
from pipeline.sources.files import FolderSource
from pipeline.wording import listed

SIZED = 200  # images of a folder that are asked for their size
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Folder:
    """One folder's images as they lie on the disk.

    Attributes:
        option: how the user named it, for messages: ``--real``.
        path: where it is.
        source: its images.
        side: the median of the shorter sides of (some of) its images, in pixels; 0 if none can be read.
    """

    option: str
    path: Path
    source: FolderSource
    side: int

    @classmethod
    def open(cls, option: str, path: Path) -> "Folder":
        """Lists the folder and looks at some of its images.

        Raises:
            UserError: it is not one folder a class, with two classes at least.
        """
        source = FolderSource(path)
        if (source.listing.splits >= 0).any():
            raise UserError(f"{option} {path}: holds a folder a split; give one of them, such as {path / 'test'}")
        return cls(option, path, source, _side(path, source.listing))


def _side(path: Path, listing: Listing) -> int:
    sides = []
    for name in listing.paths[:: max(1, len(listing) // SIZED)]:
        if not (path / name).is_file():  # to open a pipe would wait for a writer
            continue
        # what cannot be read, for whatever reason, will be named when all are
        with suppress(Exception), quiet(), Image.open(path / name, formats=FORMATS) as image:
            sides.append(min(image.size))
    return int(np.median(sides)) if sides else 0


def check_classes(folders: Sequence[Folder]) -> None:
    """Checks that every folder holds the classes of the first.

    Raises:
        UserError: a class is in one and not in another.
    """
    first = folders[0]
    known = set(first.source.listing.classes)
    for other in folders[1:]:
        here = set(other.source.listing.classes)
        for holder, lacking, names in ((first, other, known - here), (other, first, here - known)):
            if names:
                raise UserError(
                    f"{lacking.option} {lacking.path}: no images of class {listed(sorted(names))}, of which "
                    f"{holder.option} {holder.path} has some; give every class a folder of the same name in both, or "
                    "leave it out of both"
                )


@contextmanager
def decoded(folders: Sequence[Folder], side: int, notes: list[str]) -> Iterator[list[Images]]:
    """The images of every folder as arrays of one shape, grey if all are grey.

    Grey images of more than 8 bits go by one range: that by which an exported set among the folders was made, else that
    of all folders together. The arrays lie in files that go in the end, so that memory does not grow with them.

    Args:
        folders: of the same classes; the labels are those of the first one's listing.
        side: height and width to bring them to, in pixels; the centre square of those that are none.
        notes: gets what was passed over in the files, and what became of grey images of more than 8 bits.

    Raises:
        UserError: an image cannot be read, integers and floats have no range in common, or two exported sets were made
            by different ranges.
    """
    target = Target(side, "auto", "crop", _grey_range(folders))
    classes = folders[0].source.listing.classes
    with tempfile.TemporaryDirectory(prefix="augmint-") as scratch, ExitStack() as spools:
        read = []
        for number, folder in enumerate(folders):
            pixels = Pixels(Path(scratch, f"{number}.raw"), len(folder.source.listing), target)
            read.append((spools.enter_context(pixels), _read(folder, pixels, target)))
        for folder, (_, records) in zip(folders, read, strict=True):
            notes += [f"{folder.option}: {n:,} {what} were passed over." for what, n in sorted(records.passed.items())]
        if scale := settle(read, target.grey_range, target.channels):
            notes += [f"{note[0].upper()}{note[1:]}." for note in scale.notes()]
        channels = 1 if all(records.grey.all() for _, records in read) else 3
        yield [
            Images(
                _array(Path(scratch, f"{number}.npy"), pixels, records, channels, side),
                _labels(folders[number], classes),
            )
            for number, (pixels, records) in enumerate(read)
        ]


def _grey_range(folders: Sequence[Folder]) -> GreyRange:
    """The range by which the exported sets among ``folders`` were made; ``auto`` where none says any."""
    found: dict[tuple[float, float], str] = {}
    for folder in folders:
        # synthetic/, synthetic/images/ or synthetic/images/train/
        places = (folder.path, *folder.path.resolve().parents[:2])
        for manifest in filter(Path.is_file, (place / MANIFEST for place in places)):
            with suppress(UserError):  # somebody else's
                if range_ := read_about(manifest).grey_range:
                    found[range_] = f"{folder.option} by {range_[0]:g} to {range_[1]:g}"
                break
    if len(found) > 1:
        raise UserError(
            f"{' and '.join(found.values())}: these sets were made by different ranges of grey (data.grey_range), so "
            "that their levels cannot be compared; export both from sets that were ingested by one"
        )
    return next(iter(found), "auto")


def _read(folder: Folder, pixels: Pixels, target: Target) -> Records:
    records = read_all(folder.source, pixels, target, 1.0, f"evaluate: reading {folder.option}")
    if records.reasons:
        raise UserError(
            f"{folder.option} {folder.path}: {len(records.reasons):,} of {len(folder.source.listing):,} images cannot "
            f"be read; the first ones:\n{first_bad(folder.source, records)}\nmend or remove them"
        )
    return records


def _array(path: Path, pixels: Pixels, records: Records, channels: int, side: int) -> np.ndarray:
    count = len(records.grey)
    rows = (np.arange(span.start, span.stop) for span in spans(count, ROWS_AT_ONCE))
    write_blocks(path, (pixels.read(some, records.grey, channels) for some in rows), (count, channels, side, side))
    return np.load(path, mmap_mode="r")


def _labels(folder: Folder, classes: Sequence[str]) -> np.ndarray:
    """Labels as indices into ``classes``, which the folder may list in another order."""
    number = {name: label for label, name in enumerate(classes)}
    return np.array([number[name] for name in folder.source.listing.classes])[folder.source.listing.labels]
