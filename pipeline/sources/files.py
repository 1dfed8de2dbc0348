"""Images that are files in a folder."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.base import Payload, read_file
from pipeline.sources.layout import arrange


class FolderSource:
    """A folder of class folders; links are followed, as torchvision's ``ImageFolder`` does."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"data.path: {folder}: {_what(folder)}; source: folder needs a folder of class folders")
        files = list(_walk(folder))
        self.listing, order = arrange([path.relative_to(folder).as_posix() for path in files], str(folder))
        self._files = [files[index] for index in order]

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index, path in enumerate(self._files):
            yield index, partial(read_file, path)


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(root, name) for name in sorted(files))


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file or folder"
    return "this is a folder" if path.is_dir() else "this is a file"
