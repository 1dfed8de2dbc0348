"""``SHA256SUMS`` of a set: the digest of every file but the single images, whose digests are in the manifest.

``sha256sum -c SHA256SUMS`` reads it. Its own digest, the seal, stands in ``metrics/export.json``: who has that in Git
can tell whether anything at all was changed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from gan.checkpoint import sha256
from pipeline.errors import UserError
from pipeline.formats.encoding import EXTENSIONS

SUMS = "SHA256SUMS"
IMAGES = frozenset(f".{extension}" for extension in EXTENSIONS.values())


def files(folder: Path) -> Iterator[str]:
    """Every file below ``folder`` but the sums, sorted folder by folder: paths with forward slashes."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if (file := Path(place, name).relative_to(folder).as_posix()) != SUMS:
                yield file


def is_image(file: str) -> bool:
    """A single image, which the manifest vouches for."""
    return Path(file).suffix.lower() in IMAGES


def write_sums(folder: Path) -> str:
    """Writes the sums of a finished set; returns the seal, 64 hex digits."""
    lines = [f"{sha256(folder / file)}  {file}\n" for file in files(folder) if not is_image(file)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return sha256(folder / SUMS)


def read_sums(folder: Path) -> dict[str, str]:
    """The digest of each file that the sums list.

    Raises:
        UserError: there are none, or they are no such list.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        pairs = [line.split("  ", 1) for line in lines]
        return {file: digest for digest, file in pairs}
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no set that `augmint export` wrote: {SUMS} is not readable ({error})") from None
