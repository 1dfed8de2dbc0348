"""Whether an exported set is still what ``augmint export`` wrote, and no reader sees anything else in it.

Every path in the folder has to be one that follows from the manifest: a further folder or file, of whatever kind, is
found, as it may change what ``ImageFolder``, ``datasets`` or ``webdataset`` make of the set. The sums vouch for the
manifest and whatever describes the set, the manifest for every image, for the text of card and metadata and for the
order, the mark inside an image for its row, and the generator for the images themselves. Who changes one of these is
found by another. Who rewrites all of them in step is found where images are made again: in a sample with its chance,
with ``--all`` for certain.

Out of reach of the set alone are then real images, and the removal of images with all that is said of them. The seal
in ``metrics/export.json`` finds these too: that of the project in which the set lies is compared.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.export.contents import Contents, look
from pipeline.export.description import declared, sealed, seen, summed
from pipeline.export.inventory import Inventory
from pipeline.export.maker import open_maker
from pipeline.export.remaking import remake
from pipeline.formats import open_reader
from pipeline.formats.card import CARD
from pipeline.formats.checksums import SUMS, is_image
from pipeline.formats.croissant import CROISSANT
from pipeline.formats.manifest import MANIFEST, About, read_about, read_rows


@dataclass
class Found:
    """What a check found.

    Attributes:
        seal: SHA-256 of the sums; empty if there are none.
        problems: one line each, the file first.
        images: that the manifest lists.
        remade: images made again and compared.
        note: why none were, if none were.
        links: files that are links, as DVC may check them out.
    """

    seal: str = ""
    problems: list[str] = field(default_factory=list)
    images: int = 0
    remade: int = 0
    note: str = ""
    links: int = 0

    def __str__(self) -> str:
        if self.problems:
            return f"not the set that was written ({len(self.problems):,} lines above)"
        again = f"none made again ({self.note})" if self.note else f"{self.remade:,} made again from the generator"
        links = f", {self.links:,} files are links" if self.links else ""
        return f"{self.images:,} images as they were written, {again}{links}; seal {self.seal[:16]}"


def verify(folder: Path, sample: int | None = 64, model: Path | None = None) -> Found:
    """Checks the set in ``folder``; takes about 500 bytes of memory an image.

    Args:
        folder: what ``augmint export`` wrote.
        sample: synthetic images that are made again; None for all. Which ones follows from the seal, so that nobody
            who changes a file can know them before.
        model: where the generator is; ``models`` if that is there and made this set, if left out.

    Raises:
        UserError: there is no set, or ``model`` holds no generator.
    """
    there = look(folder)
    if not any(os.path.lexists(folder / name) for name in (SUMS, MANIFEST)):
        raise UserError(f"{folder}: no set that `augmint export` wrote: neither {SUMS} nor {MANIFEST} is in it")
    found = Found(problems=list(there.problems), links=there.links)
    if SUMS in there.files:
        found.seal, problems = sealed(folder)
        found.problems += problems
    if MANIFEST not in there.files:
        found.problems.append(f"{MANIFEST}: missing; nothing else can tell what the set holds")
        return found
    try:
        about = read_about(folder / MANIFEST)
    except UserError as error:
        found.problems.append(str(error))
        return found
    generator, found.note, problems = open_maker(model, about)
    found.problems += problems
    try:
        _check(folder, there, about, found)
        if generator is not None:
            found.remade, problems = remake(folder, about, generator, sample, found.seal)
            found.problems += problems
    except UserError as error:  # a manifest that breaks off
        found.problems.append(str(error))
    return found


def _check(folder: Path, there: Contents, about: About, found: Found) -> None:
    """Files, order and descriptions against the manifest.

    Raises:
        UserError: a manifest that breaks off.
    """
    inventory, reader = Inventory(folder, about), open_reader(folder, about)
    rows = list(inventory.list_rows())
    found.images = inventory.rows
    own = reader.own(read_rows(folder / MANIFEST))
    described = {CARD, CROISSANT, MANIFEST, *own, *(file for file in inventory.files if not is_image(file))}
    roots = tuple(f"{name}/" for name in reader.folders())
    images = {file for file in there.files - described if file.startswith(roots)} | (inventory.files & there.files)
    if about.format != "imagefolder":
        images &= inventory.files  # a further shard is none of ours, whatever is in it
    found.problems += rows
    found.problems += _strangers(there, described | images | {SUMS}, reader.folders())
    found.problems += summed(folder, there.files, described)
    found.problems += inventory.compare(sorted(images))
    found.problems += declared(folder, there.files, about, own)
    found.problems += seen(folder, about)


def _strangers(there: Contents, files: set[str], folders: set[str]) -> Iterator[str]:
    """Paths that no set has."""
    yield from (f"{file}: added; it is no part of the set" for file in sorted(there.files - files))
    yield from (f"{name}: a folder, added; it is no part of the set" for name in sorted(there.folders - folders))
