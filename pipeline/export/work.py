"""A set in work: parts of it, and a record of each part that is finished, so that a killed export goes on."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.atomic import remove
from pipeline.binding import checksum
from pipeline.export.tally import Tally
from pipeline.formats.base import Written
from pipeline.reading.documents import load


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an image before it is written.

    Attributes:
        split: ``train``, ``val`` or ``test``; synthetic images are ``train``.
        label: index of the class.
        index: of a synthetic image, its number for :meth:`gan.sampler.Sampler.draw`; of a real one, its row in the
            split.
        synthetic: made by the generator, or real.
        scores: by filter, of those that are on.
    """

    split: str
    label: int
    index: int
    synthetic: bool
    scores: Mapping[str, float]

    @property
    def name(self) -> str:
        """See :func:`image_name`."""
        return image_name(self.split, self.label, self.index, self.synthetic)


def image_name(split: str, label: int, index: int, synthetic: bool) -> str:
    """The name of an image, unique in a set: ``synthetic-3-000012``, ``realval-000012``.

    A split's name does not stand by itself: ``datasets``, given a bare folder of images, would take the files that are
    called by it for all there are.
    """
    return f"synthetic-{label}-{index:06d}" if synthetic else f"real{split}-{index:06d}"


@dataclass(frozen=True)
class Record:
    """A finished part: its images in order, where they lie, and the tallies of its classes up to its end."""

    entries: list[Entry]
    written: list[Written]
    tallies: dict[int, Tally]


class Work:
    """The folder of a set in work, which outlives the process.

    Args:
        folder: holds the works of all keys; those of other keys are removed.
        key: names everything that the set depends on; see :mod:`pipeline.identity`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key[:16]
        self.set, self._records = self.folder / "set", self.folder / "parts"
        self._records.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other != self.folder:
                remove(other)

    def load(self, number: int) -> Record | None:
        """The record of part ``number``; None when it is not finished, not as it was written, or its files are gone."""
        try:
            content = load(self._file(number))
            if not isinstance(content, dict) or content.get("checksum") != checksum(content):
                return None  # a machine that lost its power may leave an empty file
            written = [Written(*w) for w in content["written"]]
            # a kill may have come after the set was moved away, and before it was in its place
            if not all(os.path.isfile(f"{self.set}/{file}") for file in {one.file for one in written}):  # noqa: PTH113
                return None
            tallies = {
                int(label): Tally(drawn, accepted, Counter(rejected))
                for label, (drawn, accepted, rejected) in content["tallies"].items()
            }
            return Record([Entry(*e) for e in content["entries"]], written, tallies)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, number: int, record: Record) -> None:
        """Says that part ``number`` is finished."""
        content = {
            "entries": [[e.split, e.label, e.index, e.synthetic, e.scores] for e in record.entries],
            "written": record.written,
            "tallies": {label: [t.drawn, t.accepted, t.rejected] for label, t in record.tallies.items()},
        }
        if self._file(number).is_dir():
            remove(self._file(number))
        part = self._file(number).with_suffix(".part")
        part.write_text(json.dumps(content | {"checksum": checksum(content)}), encoding="utf-8")
        part.replace(self._file(number))

    def _file(self, number: int) -> Path:
        return self._records / f"{number:08d}.json"
