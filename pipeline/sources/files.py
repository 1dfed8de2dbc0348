"""Images that are files: in a folder, in a zip, or in a tar."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from lzma import LZMAError
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.base import HEAD_BYTES, MAX_FILE_BYTES, BadImageError, Payload, Source, read_file
from pipeline.sources.layout import arrange
from pipeline.sources.walk import walk

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, LZMAError)


class FolderSource:
    """A folder of class folders; links are followed, as torchvision's ``ImageFolder`` does."""

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
        for index, path in enumerate(self._files):
            yield index, partial(read_file, self._folder / path)


class ZipSource:
    """A zip archive, read member by member."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        members = [member for member in self._zip.infolist() if not member.is_dir()]
        if any(member.flag_bits & 1 for member in members):
            raise UserError(f"data.path: {path}: the archive is encrypted; unpack it and use source: folder")
        self.listing, order = arrange([member.filename for member in members], str(path))
        self._members = [members[index] for index in order]

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index, member in enumerate(self._members):
            yield index, partial(self._read, member)

    def _read(self, member: zipfile.ZipInfo) -> bytes:
        try:
            with self._zip.open(member) as file:
                return file.read(MAX_FILE_BYTES + 1)
        except (NotImplementedError, OSError, *DAMAGED) as error:
            raise BadImageError("damaged in the archive", str(error)) from None


class TarSource:
    """A plain tar, read at the members' offsets."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path, "r:") as tar:
            members = [(member.name, member.offset_data, member.size) for member in tar if member.isreg()]
        self._path = path
        self.listing, order = arrange([name for name, _, _ in members], str(path))
        self._extents = [members[index][1:] for index in order]

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        with self._path.open("rb") as file:
            for index, (offset, size) in enumerate(self._extents):
                file.seek(offset)
                data = file.read(min(size, MAX_FILE_BYTES + 1))
                yield index, partial(_given, data)


class TarStreamSource:
    """A compressed tar, which can only be read from its beginning: once for the names, once for the images."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with tarfile.open(path, "r|*") as tar:
            names = [member.name for member in tar if member.isreg()]
        self.listing, order = arrange(names, str(path))
        self._index = {ordinal: index for index, ordinal in enumerate(order)}

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        with tarfile.open(self._path, "r|*") as tar:
            ordinal = -1
            for member in tar:
                # tarfile keeps every header it has read, which a stream never looks back at
                tar.members = []  # type: ignore[attr-defined]
                if not member.isreg():
                    continue
                ordinal += 1
                if (index := self._index.get(ordinal)) is not None:
                    file = tar.extractfile(member)
                    data = file.read(MAX_FILE_BYTES + 1) if file else b""
                    yield index, partial(_given, data)


def open_archive(path: Path) -> Source:
    """The zip or tar (plain, .gz, .bz2 or .xz) at ``path``, told apart by content.

    Raises:
        UserError: it is not there, damaged, of another kind, or holds no classes of images.
    """
    if not path.is_file():
        raise UserError(
            f"data.path: {path}: {_what(path)}; source: archive needs a .zip, .tar, .tar.gz or .tar.xz file"
        )
    try:
        if zipfile.is_zipfile(path):
            return ZipSource(path)
        if not _is_tar(path):
            raise UserError(f"data.path: {path}: neither a zip nor a tar archive; pack the images as one of them")
        try:
            return TarSource(path)
        except tarfile.ReadError:
            return TarStreamSource(path)
    except DAMAGED as error:
        raise UserError(f"data.path: {path}: the archive is damaged ({error}); fetch or pack it again") from None


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except DAMAGED:
        return True  # a known compression, but what is in it cannot be read: say that it is damaged


def _given(data: bytes) -> bytes:
    return data


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file or folder"
    return "this is a folder" if path.is_dir() else "this is a file"
