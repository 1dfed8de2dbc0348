"""Where export puts the images of a set, and in what order: each row of a manifest follows from those before it."""

from pipeline.formats.imagefolder import Layout
from pipeline.formats.manifest import About, Row
from pipeline.formats.shards import DATA, ENDINGS
from pipeline.store import SPLITS


class Places:
    """Follows the rows of a manifest: real images split by split, then synthetic ones, each by class and index.

    Args:
        about: what the manifest says of the whole set.
    """

    def __init__(self, about: About) -> None:
        self._about = about
        self._layout = Layout(about.classes, about.splits) if about.format == "imagefolder" else None
        self._last: tuple[bool, int, int, int] = (False, -1, -1, -1)
        self._part, self._filled = -1, 0

    def fault(self, row: Row) -> str | None:
        """What is wrong with the place of the next row, which has a class and split of the set; None if nothing."""
        key = (row.synthetic, SPLITS.index(row.split), row.label_index, row.index)
        before, self._last = self._last, max(key, self._last)
        file = self._file(row, new=key[:2] != before[:2])
        if key <= before:
            return "stands in another place than export writes it"
        return None if row.file == file else f"names another file than {file}"

    def _file(self, row: Row, new: bool) -> str:
        if self._layout is not None:
            return f"{self._layout.folders[row.split][row.label_index]}/{row.name}.{self._about.encoding.extension}"
        if new or self._filled == self._about.params["export"]["shard_images"]:
            self._part, self._filled = self._part + 1, 0
        self._filled += 1
        return f"{DATA}/{row.split}-{self._part:05d}.{ENDINGS[self._about.format]}"
