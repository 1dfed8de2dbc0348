"""Images behind an address that fsspec knows: ``https://…/tiles.zip``, ``s3://bucket/tiles``, ``file:///…``.

They are fetched once into the project's scratch folder, which is said, and then read as local ones are: the readers
here hold every byte against what a file declares, and for that need a file at hand. What was fetched is taken again
while the address tells of the same version (ETag, checksum, or size and time); one that tells nothing is fetched anew.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.atomic import remove
from pipeline.errors import BusyError, UserError
from pipeline.progress import say, track

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*:/(/|$)")
CHUNK = 1 << 20
SPARE = 256 * 2**20
"""Bytes that a disk keeps free whatever is fetched."""
MOST_FILES = 2_000_000
TOLD = ("etag", "md5", "md5hash", "content_md5", "checksum", "sha256", "last-modified", "lastmodified", "last_modified")
"""What tells versions of a file apart, by the keys of fsspec's file systems in lower case."""


def is_url(path: str) -> bool:
    """Whether ``path`` is an address and no path on this machine."""
    return bool(ADDRESS.match(path))


def local_path(url: str) -> Path | None:
    """Where a ``file://`` address lies on this machine; None for any other."""
    parts = urlsplit(url)
    if parts.scheme not in ("file", "local"):
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else parts.netloc + parts.path)


def fetch(url: str, scratch: Path) -> Path:
    """A local copy of the file or folder at ``url``; the place itself where it is on this machine.

    Args:
        url: as :func:`is_url` knows it.
        scratch: the folder of copies; of one project, which has one set at a time.

    Raises:
        UserError: no such protocol or no package for it, nothing there, or a name that leads out of its folder.
        BusyError: the network or the disk does not give what it takes; it may pass.
    """
    if place := local_path(url):
        return place
    with _explained(url):
        files, path = _file_system(url)
        info = files.info(path)
        parts = list(_parts(url, files, path, info))
        version = _version(url, parts)
        target = scratch / version / (PurePosixPath(urlsplit(url).path).name or "set") if version else None
        if target is not None and target.exists():
            return target
        fetched = _fetched(url, files, parts, scratch, info.get("type") == "directory")
    if target is None:
        return fetched
    for old in scratch.iterdir():
        if old != fetched.parent:
            remove(old)
    fetched.parent.rename(scratch / version)
    return target


def has_etag(url: str) -> bool:
    """Whether a server says which version of the file at ``url`` it gives.

    Raises:
        UserError, BusyError: as :func:`fetch`.
    """
    with _explained(url):
        files, path = _file_system(url)
        return any(value for key, value in files.info(path).items() if key.lower() in ("etag", "content-md5"))


def shown(url: str) -> str:
    """``url`` for a message: without a password in it, and without a query, which may hold a key."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]


@contextmanager
def _explained(url: str) -> Iterator[None]:
    where = f"data.path: {shown(url)}"
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except ImportError as error:
        raise UserError(
            f"{where}: {error}; install that package beside augmint, or fetch the images yourself"
        ) from None
    except FileNotFoundError as error:
        if (cause := _of_the_network(error)) is not None:
            raise BusyError(f"{where}: cannot be reached now ({cause}); try again later, or mend the address") from None
        raise UserError(f"{where}: nothing is there; mend the address") from None
    except PermissionError as error:
        raise UserError(f"{where}: may not be read ({error}); give this machine the right to") from None
    except ValueError as error:
        raise UserError(f"{where}: {error}; fetch the images yourself, and give the path") from None
    except Exception as error:  # the file systems raise whatever their libraries do
        raise BusyError(f"{where}: cannot be fetched now ({type(error).__name__}: {error}); try again later") from None


def _of_the_network(error: BaseException) -> OSError | None:
    """What a file system has turned into `nothing is there` although it could not ask."""
    while (cause := error.__cause__) is not None:
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            return cause
        error = cause
    return None


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, path = url_to_fs(url)
    return files, path


def _parts(url: str, files: Any, path: str, info: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each file as its path there, its name relative to ``path`` (``""`` for ``path`` itself), and its facts."""
    if info.get("type") != "directory":
        yield path, "", info
        return
    base = path.rstrip("/")
    for number, (name, facts) in enumerate(sorted(files.find(path, detail=True).items())):
        if number >= MOST_FILES:
            raise UserError(f"data.path: {shown(url)}: more than {MOST_FILES:,} files; pack them as an archive")
        inner = name.removeprefix(base).lstrip("/")
        if not name.startswith(base) or not inner or ".." in inner.split("/") or "\0" in inner:
            raise UserError(f"data.path: {shown(url)}: the name {name!r} leads out of the folder; fetch it yourself")
        yield name, inner, facts


def _version(url: str, parts: list[tuple[str, str, dict[str, Any]]]) -> str:
    """Names what lies there now; empty where that cannot be told."""
    told = []
    for _, inner, facts in parts:
        found = {key: str(value) for key, value in facts.items() if key.lower() in TOLD or key in ("mtime", "created")}
        if not any(found.values()):
            return ""
        told.append([inner, facts.get("size"), found])
    return hashlib.sha256(json.dumps([url, told], sort_keys=True, default=str).encode()).hexdigest()[:16]


def _fetched(url: str, files: Any, parts: list[tuple[str, str, dict[str, Any]]], scratch: Path, folder: bool) -> Path:
    """The copy, in a folder of its own below ``scratch``."""
    sizes = [int(facts.get("size") or 0) for _, _, facts in parts]
    scratch.mkdir(parents=True, exist_ok=True)
    _check_room(url, scratch, sum(sizes))
    place = scratch / "fetched"
    remove(place)
    target = place / (PurePosixPath(urlsplit(url).path).name or "set")
    say(f"ingest: fetching {shown(url)} ({sum(sizes) / 2**20:,.1f} MiB in {len(parts):,} files) into {scratch}")
    with track(max(1, sum(sizes)), "fetch", "bytes") as progress:
        for name, inner, _ in parts:
            file = target / inner if folder else target
            file.parent.mkdir(parents=True, exist_ok=True)
            with files.open(name, "rb") as source, file.open("wb") as copy:
                while data := source.read(CHUNK):
                    copy.write(data)
                    progress.advance(len(data))
                    if copy.tell() % (64 * CHUNK) < CHUNK:
                        _check_room(url, scratch, 0)
    return target


def _check_room(url: str, scratch: Path, size: int) -> None:
    free = shutil.disk_usage(scratch).free
    if free < size + SPARE:
        raise BusyError(
            f"data.path: {shown(url)}: {size / 2**20:,.0f} MiB are to be fetched into {scratch}, and "
            f"{free / 2**20:,.0f} MiB are free there; free some"
        )
