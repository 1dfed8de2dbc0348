"""Images that are files in a folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.base import HEAD_BYTES, Payload, read_below, read_file
from pipeline.sources.layout import arrange
from pipeline.sources.walk import walk


class FolderSource:
    """A folder of class folders; links are followed, as torchvision's ``ImageFolder`` does."""

    apart = True

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"data.path: {folder}: {_what(folder)}; source: folder needs a folder of class folders")
        found = walk(folder)
        self.listing, order = arrange(
            found.files,
            str(folder),
            lambda index: read_file(folder / found.files[index], HEAD_BYTES),
            found.passed,
            found.lost,
            found.empty,
        )
        self._folder, self._files = folder, [found.files[index] for index in order]

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        folder = str(self._folder)
        for index, path in enumerate(self._files):
            yield index, partial(read_below, folder, path)


def _what(path: Path) -> str:
    return "this is a file" if path.exists() else "no such file or folder"
