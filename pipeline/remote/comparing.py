"""Whether a file at a place is the one here: by size, and by what the store tells of its content."""

import base64
import filecmp
import hashlib
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from pipeline.remote.listing import Part
from pipeline.remote.place import Place

MULTIPART = 50 * 2**20
"""Bytes of a part of a large upload to S3, as s3fs sends it; the ETag is then made of the parts' digests."""
MOST_READ = 64 * 2**20


class Comparison:
    """Compares files below ``folder`` with those at a place.

    Some stores tell what looks like a digest and is none, as S3 does of what it encrypts. So one file that seems to
    differ is read there: if it is the same, only sizes count.

    Args:
        place: where the others are.
        folder: where these are.
    """

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder = place, folder
        self._believed: bool | None = None  # None: not tried yet

    def same(self, there: Part, file: str) -> bool:
        """Whether ``there`` is ``file``."""
        local = self._folder / file
        size = local.stat().st_size
        if there.size != size:
            return False
        told = {value.strip('"').lower() for key, value in there.told.items() if key in _DIGESTS}
        if isinstance(self._place.files, LocalFileSystem):
            return filecmp.cmp(there.path, local, shallow=False)
        if not told or self._believed is False or told & _digests(local):
            return True
        if self._believed is None and size <= MOST_READ:
            self._believed = self._place.content(there.path) != local.read_bytes()
            return not self._believed
        return False


_DIGESTS = ("etag", "md5", "md5hash", "content_md5", "content-md5", "sha256")


def _digests(file: Path) -> set[str]:
    """All that a store may tell of a file with this content, in lower case."""
    whole, sha256, parts = hashlib.md5(usedforsecurity=False), hashlib.sha256(), []
    with file.open("rb") as source:
        while data := source.read(MULTIPART):
            whole.update(data)
            sha256.update(data)
            parts.append(hashlib.md5(data, usedforsecurity=False).digest())
    joined = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    in_base64 = base64.b64encode(whole.digest()).decode().lower()
    return {whole.hexdigest(), in_base64, sha256.hexdigest(), f"{joined}-{len(parts)}"}
