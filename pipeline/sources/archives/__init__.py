"""Images in an archive. Whatever it says it holds and does not give is an error that says where reading ended."""

import zipfile
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.archives.headers import BLOCK, is_header
from pipeline.sources.archives.members import damaged
from pipeline.sources.archives.streams import STREAMS
from pipeline.sources.archives.tars import TarSource, TarStreamSource
from pipeline.sources.archives.zips import ZipSource
from pipeline.sources.base import Source
from pipeline.sources.layout import Arrange, arrange

__all__ = ["open_archive"]

OTHERS = {b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!": "a RAR archive", b"\x28\xb5\x2f\xfd": "packed with zstd"}
"""By their first bytes: what people also use, and cannot be read here."""


def open_archive(path: Path, arrange: Arrange = arrange) -> Source:
    """The zip or tar (plain, .gz, .bz2 or .xz) at ``path``, told apart by its first bytes.

    Args:
        path: of the file.
        arrange: reads the listing off the paths.

    Raises:
        UserError: it is not there, damaged, of another kind, or holds no classes of images.
    """
    if not path.is_file():
        raise UserError(
            f"data.path: {path}: {_what(path)}; source: archive needs a .zip, .tar, .tar.gz or .tar.xz file"
        )
    try:
        with path.open("rb") as file:
            start = file.read(BLOCK)
        return _opened(path, start, arrange)
    except OSError as error:
        raise UserError(f"data.path: {path}: cannot be read ({error.strerror or error})") from None


def _opened(path: Path, start: bytes, arrange: Arrange) -> Source:
    if start.startswith(tuple(STREAMS)):
        return TarStreamSource(path, arrange)
    if start.startswith(b"PK"):
        return ZipSource(path, arrange)
    if is_header(start):
        return TarSource(path, arrange)
    if zipfile.is_zipfile(path):  # behind a program that unpacks it
        return ZipSource(path, arrange)
    if start[257:262] == b"ustar":
        raise damaged(str(path), "its first header's checksum is wrong")
    known = next((OTHERS[magic] for magic in OTHERS if start.startswith(magic)), "neither a zip nor a tar archive")
    raise UserError(f"data.path: {path}: {known}; pack the images as a zip or a tar")


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file or folder"
    return "this is a folder" if path.is_dir() else "this is no regular file"
