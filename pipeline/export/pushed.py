"""Checking a set at an address: whether it was pushed whole, and is what it was."""

import json
import tempfile
from dataclasses import fields
from pathlib import Path

from pipeline.errors import UserError
from pipeline.export.pushing import CURRENT, Current
from pipeline.export.verify import Found, verify
from pipeline.formats.checksums import SUMS
from pipeline.formats.manifest import MANIFEST
from pipeline.remote.addresses import is_url
from pipeline.remote.fetching import fetch
from pipeline.remote.listing import parts_below
from pipeline.remote.place import Place

KEY = "augmint verify"


def is_pushed(target: str) -> bool:
    """Whether ``target`` is an address, or a folder on this machine that sets were pushed into."""
    return is_url(target) or (Path(target) / CURRENT).is_file()


def verify_pushed(target: str, sample: int | None = 64, model: Path | None = None) -> Found:
    """Checks a set at an address: the current one of a folder that sets were pushed into, or the one named.

    It is fetched into a folder of the system's for what passes; then see :func:`pipeline.export.verify.verify`.

    Raises:
        UserError: nothing is there, no right to read it, or ``model`` holds no generator.
        BusyError: it cannot be reached.
    """
    url = (target if is_url(target) else Path(target).resolve().as_uri()).rstrip("/")
    place = Place.open(url, KEY)
    content = place.content(f"{place.path}/{CURRENT}")
    if content is None:
        names = parts_below(place, place.path).keys()
        if not names & {SUMS, MANIFEST}:
            if not names:
                raise UserError(f"{place.where}: nothing is there; mend the address")
            return Found(problems=[f"{CURRENT}: missing; no set was pushed whole here. `augmint push` does it"])
        return _verify(url, sample, model)
    current = _read(content)
    if current is None:
        return Found(problems=[f"{CURRENT}: not what `augmint push` writes; push again"])
    if not parts_below(place, f"{place.path}/{current.folder}"):
        return Found(problems=[f"{current.folder}: missing; {CURRENT} names it. `augmint push` brings it back"])
    found = _verify(f"{url}/{current.folder}", sample, model)
    if found.seal != current.seal:
        found.problems.append(f"{SUMS}: not that of the set that was pushed last, whose seal stands in {CURRENT}")
    return found


def _verify(url: str, sample: int | None, model: Path | None) -> Found:
    with tempfile.TemporaryDirectory(prefix="augmint-") as scratch:
        return verify(fetch(url, Path(scratch), KEY), sample, model)


def _read(content: bytes) -> Current | None:
    try:
        tree = json.loads(content)
        current = Current(**{field.name: tree[field.name] for field in fields(Current)})
    except (ValueError, KeyError, TypeError):
        return None
    named = (current.folder, current.seal)
    simple = all(isinstance(each, str) and each.isalnum() and each.isascii() for each in named)
    return current if simple else None
