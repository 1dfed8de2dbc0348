"""Images without labels: every image of a file, a folder or an archive, whatever its folders are called."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.archives import open_archive
from pipeline.sources.base import HEAD_BYTES, BadImageError, Listing, Payload, Source, printable, read_file
from pipeline.sources.kinds import kind_of
from pipeline.sources.sorting import Files, sort_out
from pipeline.sources.walk import walk
from pipeline.wording import counted


class UnlabelledFolder:
    """A folder, or a single file; links are followed."""

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            found, folder = walk(path), path
            files, passed, lost, empty = found.files, found.passed, found.lost, found.empty
        else:
            folder, files, passed, lost, empty = path.parent, [path.name], Counter[str](), [], []
        self.listing, order = list_images(
            files, str(path), lambda index: read_file(folder / files[index], HEAD_BYTES), passed, lost, empty
        )
        self._paths = [folder / files[index] for index in order]

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index, path in enumerate(self._paths):
            yield index, partial(read_file, path)


def open_unlabelled(path: Path) -> Source:
    """The images of a file, a folder or an archive. Their listing has one class without a name.

    What may be meant as an image and cannot be read as one is in the listing too, and fails when it is read.

    Raises:
        UserError: nothing there, nothing that may be an image, or a damaged archive.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.is_dir() or _is_image(path):
        return UnlabelledFolder(path)
    try:
        return open_archive(path, list_images)
    except UserError as error:  # there is no data.path here
        raise UserError(str(error).removeprefix("data.path: ")) from None


def list_images(
    paths: Sequence[str],
    where: str,
    head: Callable[[int], bytes] | None = None,
    passed: Mapping[str, int] = MappingProxyType({}),
    lost: Iterable[tuple[str, str]] = (),
    empty: Iterable[str] = (),  # noqa: ARG001  (see arrange)
) -> tuple[Listing, list[int]]:
    """As :func:`pipeline.sources.layout.arrange`, of files without labels.

    Raises:
        UserError: no image is there.
    """
    lost = list(lost)
    files = sort_out(paths, head, lost)
    kept = sorted([*files.images, *(file for file in files.missed if file.number < len(paths))])
    ignored = Counter(passed) + _beside(files) + Counter(reason for _, reason in lost)
    if not kept:
        raise UserError(f"{where}: no image among {len(paths):,} files ({counted(ignored) or 'none passed over'})")
    nothing = np.full(len(kept), -1, np.int8)
    listing = Listing(
        [printable(file.name) for file in kept], np.zeros(len(kept), np.int64), ("",), nothing, None, ignored
    )
    return listing, [file.number for file in kept]


def _beside(files: Files) -> Counter[str]:
    """What is no image, by reason."""
    found: Counter[str] = Counter()
    for (reason, _), count in (*files.aside.items(), *files.hidden.items()):
        found[reason] += count
    return found


def _is_image(path: Path) -> bool:
    try:
        return not kind_of(path.name, partial(read_file, path, HEAD_BYTES)).reason
    except BadImageError:
        return False
