"""What describes a set, against its manifest: sums, card, metadata, seal, and the classes that a reader counts."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gan.files import sha256
from pipeline.binding import read_figures
from pipeline.errors import UserError
from pipeline.formats.card import CARD, render_card
from pipeline.formats.checksums import SUMS, parse_sums, render_sums
from pipeline.formats.croissant import CROISSANT, render_croissant
from pipeline.formats.imagefolder import Layout
from pipeline.formats.manifest import MANIFEST, About, count_images
from pipeline.provenance import version
from pipeline.workspace import Workspace


def sealed(folder: Path) -> tuple[str, list[str]]:
    """The seal of the set, and a line if the project in which it lies, if it does, has another one for it."""
    try:
        seal = sha256(folder / SUMS)
    except OSError as error:
        return "", [f"{SUMS}: cannot be read ({error.strerror})"]
    workspace = Workspace(folder.resolve().parent)
    figures = workspace.metrics("export")
    if folder.resolve() != workspace.synthetic or not os.path.lexists(figures):
        return seal, []
    if not figures.is_file():
        return seal, [f"{figures}: no file, and so no seal that can be read"]
    try:
        expected = read_figures(workspace, "export").get("seal")
    except UserError as error:
        return seal, [f"no seal that can be read: {error}"]
    if expected == seal:
        return seal, []
    return seal, [f"{SUMS}: not that of the set that was exported last, whose seal stands in {figures}"]


def summed(folder: Path, there: set[str], described: set[str]) -> Iterator[str]:
    """The sums against all that they should list: every file of the set but themselves and single images.

    Args:
        folder: the set's.
        there: the files in it.
        described: those that should be listed.
    """
    yield from (f"{file}: missing" for file in sorted((described | {SUMS}) - there))
    if SUMS not in there:
        return
    try:
        text = (folder / SUMS).read_bytes().decode()
        sums = parse_sums(text)
    except (OSError, ValueError) as error:
        yield f"{SUMS}: not readable ({error})"
        return
    good = True
    for line in _differing(folder, there, described, sums):
        good = False
        yield line
    if good and described <= there and text != render_sums(sums):
        yield f"{SUMS}: not in the form that export writes"


def _differing(folder: Path, there: set[str], described: set[str], sums: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{file}: listed in {SUMS}, but no part of the set" for file in sorted(sums.keys() - described))
    for file in sorted(described & there):
        try:
            if file not in sums:
                yield f"{file}: not listed in {SUMS}"
            elif sha256(folder / file) != sums[file]:
                yield f"{file}: changed since it was written"
        except OSError as error:
            yield f"{file}: cannot be read ({error.strerror})"


def declared(folder: Path, there: set[str], about: About, own: Mapping[str, str]) -> Iterator[str]:
    """What describes the set, against what the manifest says.

    Args:
        folder: the set's.
        there: the files in it.
        about: what the manifest says of the whole set.
        own: the digests of the files that the format leaves beside the images.
    """
    counts = count_images(folder / MANIFEST)
    checks: dict[str, Callable[[str], bool]] = {
        CARD: lambda text: _is_card(text, about, render_card(about, counts, None)),
        CROISSANT: lambda text: _is_croissant(text, about, render_croissant(folder, about, counts.total())),
    }
    checks |= {file: partial(_has_digest, digest) for file, digest in own.items()}
    for file in sorted(checks.keys() & there):
        try:
            said = (folder / file).read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            continue  # which the sums have told
        if not checks[file](said):
            yield f"{file}: says something else than {MANIFEST}"


def _has_digest(digest: str, text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() == digest


def _is_card(text: str, about: About, expected: str) -> bool:
    """Whether it is the card but for the quality, which the manifest does not know; of another version, the sizes."""
    quality, verdict = "\n## Quality\n", "\n## Verdict\n"
    before, _, rest = expected.partition(quality)
    overridden, _, behind = rest.partition(verdict)
    if about.augmint != version():
        return before[before.index("## Sizes") :] in text
    whole = text.startswith(before + quality) and text.endswith(verdict + behind)
    return whole and overridden.removeprefix("\nNot measured.\n") in text


def _is_croissant(text: str, about: About, expected: dict[str, Any]) -> bool:
    try:
        content = json.loads(text)
        if about.augmint != version():
            return content["description"] == expected["description"]
        return content == expected
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def seen(folder: Path, about: About) -> Iterator[str]:
    """Whether torchvision's ``ImageFolder`` finds the classes of the set, in their order."""
    if about.format != "imagefolder":
        return
    from torchvision.datasets.folder import find_classes  # seconds, which other formats would pay too

    layout = Layout(about.classes, about.splits)
    for split, root in layout.roots.items():
        expected = [name.rpartition("/")[2] for name in layout.folders[split]]
        try:
            found = find_classes(str(folder / root))[0]
        except OSError:
            found = []
        if found != expected:
            strange = sorted(set(found) ^ set(expected))
            yield f"{root}: ImageFolder finds {len(found)} classes, not {len(expected)}: {strange[0]!r} differs"
