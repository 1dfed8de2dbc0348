"""A small exported set in any format, made of random images by the writers alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export.work import image_name
from pipeline.formats import describe, open_writer
from pipeline.formats.base import Item
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter, Row
from pipeline.params import ExportParams, Params
from pipeline.provenance import Mark, params_hash, set_params

CLASSES = ("a/b", "cup | saucer", "empty", "zebra é")
GENERATOR = "ab" * 32
QUALITY = {
    "gates": [],
    "floor": {"kid": {"synthetic": 0.125, "real": 0.0, "ci95": [-0.01, 0.0625]}},
    "below_floor": ["kid"],
    "missing_classes": ["empty"],
    "notes": ["A note."],
}


@dataclass(frozen=True)
class Painted:
    """An image before it is a file: uint8 (C, H, W)."""

    name: str
    split: str
    label: int
    image: np.ndarray
    xmp: str | None


@dataclass(frozen=True)
class MadeSet:
    """Where the set is, what is true of it, and by name what was painted."""

    root: Path
    about: About
    items: dict[str, Painted]
    rows: list[Row]


def make_set(
    root: Path,
    splits: tuple[str, ...] = ("train",),
    channels: int = 3,
    classes: tuple[str, ...] = CLASSES,
    empty: int | None = 2,
    **export: Any,
) -> MadeSet:
    """Two parts of every split: all of ``val`` and ``test`` real, and of ``train`` the first part.

    Each holds two images of every class but the second, which has one, and the one that is to be empty.
    """
    params = Params(seed=3, export=ExportParams(**export))
    about = made_about(params, splits, channels, classes)
    images = [(label, i) for label in range(len(classes)) if label != empty for i in range(1 if label == 1 else 2)]
    writer, made = open_writer(root, about), MadeSet(root, about, {}, [])
    parts = [(split, part) for split in splits for part in range(2)]
    with ManifestWriter(root / MANIFEST, about) as manifest:
        for number, (split, part) in enumerate(parts):
            painted = _painted(about, split, part, images)
            items = [Item(one.name, split, one.label, encode(one.image, about.encoding, one.xmp)) for one in painted]
            written = writer.write_part(number, items)
            assert writer.write_part(number, items) == written  # as after an interruption
            rows = [_row(params, about, item, *place) for item, place in zip(items, written, strict=True)]
            manifest.extend(rows)
            made.rows.extend(rows)
            made.items.update({one.name: one for one in painted})
    writer.close()
    describe(root, about, QUALITY)
    return made


def made_about(
    params: Params, splits: tuple[str, ...] = ("train",), channels: int = 1, classes: tuple[str, ...] = CLASSES
) -> About:
    """What is true of such a set."""
    return About(
        classes=classes,
        channels=channels,
        image_size=8,
        splits=splits,
        seed=2**62,
        generator=GENERATOR,
        params=set_params(params),
        overridden=("kid",),
        augmint="1",
    )


def _painted(about: About, split: str, part: int, images: list[tuple[int, int]]) -> list[Painted]:
    synthetic, painted = split == "train" and part == 1, []
    for label, place in images:
        index = 2 * part + place
        row = len(images) * part + len(painted)
        seed = [label, index, len(split)]
        image = np.random.default_rng(seed).integers(0, 256, (about.channels, 8, 8), dtype=np.uint8)
        xmp = Mark(GENERATOR, about.classes[label], index, 2**62).xmp() if synthetic else None
        name = image_name(split, label, index if synthetic else row, synthetic)
        painted.append(Painted(name, split, label, image, xmp))
    return painted


def _row(params: Params, about: About, item: Item, file: str, digest: str) -> Row:
    synthetic = item.name.startswith("synthetic")
    return Row(
        file=file,
        name=item.name,
        sha256=digest,
        split=item.split,
        label=about.classes[item.label],
        label_index=item.label,
        index=int(item.name[-6:]),
        synthetic=synthetic,
        seed=about.seed if synthetic else None,
        generator=GENERATOR if synthetic else None,
        params=params_hash(set_params(params)),
        label_confidence=0.5 if synthetic else None,
        filters=("confidence",) if synthetic else None,
        augmint="1",
    )
