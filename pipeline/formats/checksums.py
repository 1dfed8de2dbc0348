"""``SHA256SUMS`` of a set: the digest of every file but the single images, whose digests are in the manifest.

``sha256sum -c SHA256SUMS`` reads it. Its own digest, the seal, stands in ``metrics/export.json``: who has that in Git
can tell whether anything at all was changed.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gan.files import sha256
from pipeline.formats.encoding import EXTENSIONS

SUMS = "SHA256SUMS"
IMAGES = frozenset(f".{extension}" for extension in EXTENSIONS.values())


def files(folder: Path) -> Iterator[str]:
    """Every file below ``folder`` but the sums: paths with forward slashes."""
    for place, _, names in os.walk(folder):
        inner = Path(place).relative_to(folder).as_posix()
        for name in names:
            if (file := name if inner == "." else f"{inner}/{name}") != SUMS:
                yield file


def is_image(file: str) -> bool:
    """A single image, which the manifest vouches for."""
    return os.path.splitext(file)[1].lower() in IMAGES  # noqa: PTH122  (a third of the time of a Path's)


def write_sums(folder: Path) -> str:
    """Writes the sums of a finished set; returns the seal, 64 hex digits."""
    digests = {file: sha256(folder / file) for file in files(folder) if not is_image(file)}
    (folder / SUMS).write_text(render_sums(digests), encoding="utf-8")
    return sha256(folder / SUMS)


def render_sums(digests: Mapping[str, str]) -> str:
    """The sums as text: a folder's files by name, then its folders likewise."""
    return "".join(f"{digests[file]}  {file}\n" for file in sorted(digests, key=_order))


def parse_sums(text: str) -> dict[str, str]:
    """The digest of each file that the sums list.

    Raises:
        ValueError: they are no such list.
    """
    pairs = [line.split("  ", 1) for line in text.split("\n") if line]
    return {file: digest for digest, file in pairs}


def _order(file: str) -> list[tuple[bool, str]]:
    *folders, name = file.split("/")
    return [*((True, folder) for folder in folders), (False, name)]
