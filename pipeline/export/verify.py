"""Whether an exported set is still what ``augmint export`` wrote.

The sums vouch for the manifest and whatever describes the set, the manifest for every image, the mark inside an image
for its row, and the generator for the images themselves. Who changes one of these is found by another. Who rewrites
all of them in step is found where images are made again: in a sample with its chance, with ``--all`` for certain.

Out of reach of the set alone are then real images, and the removal of images with all that is said of them. The seal
in ``metrics/export.json``, kept elsewhere (in Git, say), finds these too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gan.checkpoint import WeightsError, load_generator, sha256
from gan.networks import Network
from pipeline.errors import UserError
from pipeline.export.inventory import Inventory
from pipeline.export.remaking import remake
from pipeline.formats.card import CARD, render_card
from pipeline.formats.checksums import SUMS, files, is_image, read_sums
from pipeline.formats.croissant import CROISSANT
from pipeline.formats.manifest import MANIFEST, About, count_images, read_about
from pipeline.workspace import Workspace


@dataclass
class Found:
    """What a check found.

    Attributes:
        seal: SHA-256 of the sums.
        problems: one line each, the file first.
        images: that the manifest lists.
        remade: images made again and compared.
        note: why none were, if none were.
    """

    seal: str
    problems: list[str] = field(default_factory=list)
    images: int = 0
    remade: int = 0
    note: str = ""

    def __str__(self) -> str:
        if self.problems:
            return f"not the set that was written ({len(self.problems):,} lines above)"
        again = f"none made again ({self.note})" if self.note else f"{self.remade:,} made again from the generator"
        return f"{self.images:,} images as they were written, {again}; seal {self.seal[:16]}"


def verify(folder: Path, sample: int | None = 64, model: Path | None = None) -> Found:
    """Checks the set in ``folder``; takes about 500 bytes of memory an image.

    Args:
        folder: what ``augmint export`` wrote.
        sample: synthetic images that are made again; None for all. Which ones follows from the seal, so that nobody
            who changes a file can know them before.
        model: where the generator is; ``models`` if that is there and made this set, if left out.

    Raises:
        UserError: there is no such set, or ``model`` holds no generator.
    """
    sums = read_sums(folder)
    found = Found(sha256(folder / SUMS), list(_described(folder, sums)))
    try:
        about = read_about(folder / MANIFEST)
    except UserError as error:
        found.problems.append(str(error))
        return found
    generator = _open_generator(model, about, found)
    inventory = Inventory(folder, about)
    try:
        found.problems += inventory.problems()
        found.problems += _declared(folder, about)
        if generator is not None:
            found.remade, problems = remake(folder, about, generator, sample, found.seal)
            found.problems += problems
    except UserError as error:  # a manifest that breaks off
        found.problems.append(str(error))
    found.images = inventory.rows
    return found


def _described(folder: Path, sums: dict[str, str]) -> Iterator[str]:
    """Files that are not what the sums say; single images are left to the manifest."""
    there = {file for file in files(folder) if not is_image(file)}
    for file in sorted(there | sums.keys()):
        if file not in there:
            yield f"{file}: missing"
        elif file not in sums:
            yield f"{file}: added; {SUMS} does not list it"
        elif sha256(folder / file) != sums[file]:
            yield f"{file}: changed since it was written"


def _declared(folder: Path, about: About) -> Iterator[str]:
    """What describes the set must count what the manifest counts."""
    counts = count_images(folder / MANIFEST)
    expected = {
        CARD: _sizes(render_card(about, counts, None, None)),
        CROISSANT: f'"description": "{counts.total():,} labelled images of {len(about.classes)} classes',
    }
    for file, text in expected.items():
        path = folder / file
        if path.is_file() and text not in path.read_text(encoding="utf-8", errors="replace"):
            yield f"{file}: its counts are not those of {MANIFEST}"


def _sizes(card: str) -> str:
    return card[card.index("## Sizes") : card.index("## Quality")]


def _open_generator(model: Path | None, about: About, found: Found) -> Network | None:
    """The generator that made the set; where it is not at hand, ``found`` says so.

    Raises:
        UserError: ``model`` holds none.
    """
    try:
        generator, card = load_generator(model or Workspace().models)
    except WeightsError as error:
        if model is not None:
            raise UserError(f"--model {model}: {error}") from None
    else:
        if card["sha256"] == about.generator and tuple(card["classes"]) == about.classes:
            return generator
    found.note = f"give --model with generator {about.generator[:16]}"
    if model is not None:
        found.problems.append(f"{MANIFEST}: names another generator, or other classes, than {model} holds")
    return None
