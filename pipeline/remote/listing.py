"""What lies at a place: its files with their facts, and which version of all of them it is."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.remote.place import Place

MOST_FILES = 2_000_000
CONTENT = ("etag", "md5", "md5hash", "content_md5", "content-md5", "checksum", "sha256", "blob_id")
"""Facts that change with the content alone, by the keys of fsspec's file systems in lower case."""
TIME = ("last-modified", "lastmodified", "last_modified", "mtime", "modified", "updated", "created")
"""Facts for want of these: a file that is written again unchanged counts as another version."""


@dataclass(frozen=True)
class Part:
    """One file.

    Attributes:
        path: in the file system.
        inner: relative to the place; ``""`` for the place itself.
        size: in bytes; None where it is not told.
        told: what is said of its version, by the file system's keys.
    """

    path: str
    inner: str
    size: int | None
    told: dict[str, str]

    @classmethod
    def of(cls, path: str, inner: str, facts: dict[str, Any]) -> "Part":
        """From what fsspec says of a file."""
        for further in ("content_settings", "lfs"):  # Azure's, the Hugging Face Hub's
            facts = facts | dict(facts.get(further) or {})
        by_name = {key.lower(): value for key, value in facts.items() if value not in (None, "", b"")}
        told = {key: _text(by_name[key]) for key in CONTENT if key in by_name}
        told = told or {key: _text(by_name[key]) for key in TIME if key in by_name}
        size = facts.get("size")
        return cls(path, inner, None if size is None else int(size), told)

    def digests(self) -> dict[str, set[str]]:
        """Digests of the content that are told, in hex: ``md5``, and what may be one."""
        found: dict[str, set[str]] = {}
        for key, value in self.told.items():
            text = value.strip('"')
            if key == "sha256":
                found.setdefault("sha256", set()).add(text.lower())
            elif key in ("md5hash", "content_md5", "content-md5"):
                found.setdefault("md5", set()).add(_hex(text))
        return found


@dataclass(frozen=True)
class Version:
    """Which version lies at a place.

    Attributes:
        files: how many.
        bytes: of all together.
        version: names it.
        by_size: nothing but names and sizes is told there, so that other content of the same size is not seen.
    """

    files: int
    bytes: int
    version: str
    by_size: bool

    def __str__(self) -> str:
        by = ", by names and sizes alone" if self.by_size else ""
        return f"version {self.version}, {self.files:,} files, {self.bytes / 2**20:,.1f} MiB{by}"


@dataclass(frozen=True)
class Listing:
    """All files of a place, by path.

    Attributes:
        folder: whether the place is one.
        parts: its files.
        version: names this content of them; empty where nothing tells it.
    """

    folder: bool
    parts: tuple[Part, ...]
    version: str

    def told(self) -> "Version":
        """Names what lies there by as much as is told."""
        sizes = self.sizes
        digest = hashlib.sha256(json.dumps(sizes).encode()).hexdigest()[:16]
        return Version(len(sizes), sum(size or 0 for _, size in sizes), self.version or digest, not self.version)

    @property
    def sizes(self) -> list[tuple[str, int | None]]:
        """Each file's name and size."""
        return [(part.inner, part.size) for part in self.parts]


def listed(place: Place) -> Listing:
    """What lies at ``place`` now.

    Raises:
        UserError: nothing, or a name that leads out of the folder.
        BusyError: it cannot be reached.
    """
    place.files.invalidate_cache()
    info = place.ask(lambda: place.files.info(place.path))
    if info.get("type") != "directory":
        only = (Part.of(place.path, "", info),)
        return Listing(False, only, _version(place.url, only))
    parts = tuple(parts_below(place, place.path).values())
    return Listing(True, parts, _version(place.url, parts))


def parts_below(place: Place, path: str) -> dict[str, Part]:
    """Each file below ``path`` by its name relative to that; none where there is no such folder.

    Raises:
        UserError: a name that leads out of the folder.
        BusyError: it cannot be reached.
    """
    place.files.invalidate_cache()
    found = place.ask_for(lambda: place.files.find(path, detail=True)) or {}
    if len(found) > MOST_FILES:
        raise UserError(f"{place.where}: more than {MOST_FILES:,} files; pack them as an archive")
    base = path.rstrip("/")
    folders = {base} | {parent for name in found for parent in _parents(name.rstrip("/"), len(base))}
    parts = [
        Part.of(name, _inner(place, base, name), facts)
        for name, facts in sorted(found.items())
        if not name.endswith("/") and name not in folders  # what stands for a folder in a store that has none
    ]
    return {part.inner: part for part in parts}


def _parents(name: str, shortest: int) -> Iterator[str]:
    while len(name := name.rpartition("/")[0]) > shortest:
        yield name


def _inner(place: Place, base: str, name: str) -> str:
    inner = name.removeprefix(base).lstrip("/")
    if not name.startswith(base) or ".." in inner.split("/") or "\0" in inner:
        raise UserError(f"{place.where}: the name {name!r} leads out of the folder; fetch it yourself")
    return inner


def _version(url: str, parts: tuple[Part, ...]) -> str:
    if not all(part.told for part in parts):
        return ""
    facts = [[part.inner, part.size, part.told] for part in parts]
    return hashlib.sha256(json.dumps([url, facts], sort_keys=True).encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)


def _hex(text: str) -> str:
    """An MD5 in hex, which may be written in Base64."""
    if re.fullmatch(r"[0-9a-fA-F]{32}", text):
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except (binascii.Error, ValueError):
        return text
