"""What a set says of itself and of each of its images."""

from collections.abc import Iterator
from typing import Any

from pipeline.export.ingredients import Ingredients
from pipeline.export.work import Record
from pipeline.formats.manifest import About, Row
from pipeline.provenance import Mark, params_hash, version
from pipeline.store import SPLITS, Store


def describe(chosen: dict[str, Any], source: Ingredients, store: Store, overridden: list[str]) -> About:
    """What is true of the whole set.

    Args:
        chosen: see :func:`pipeline.provenance.set_params`.
        overridden: quality gates that failed and were overridden.
    """
    splits = {"train"} | {name for name, counts in source.plan.real.items() if any(counts)}
    return About(
        classes=store.classes,
        channels=store.channels,
        image_size=store.image_size,
        splits=tuple(name for name in SPLITS if name in splits),
        seed=source.sampler.seed,
        generator=source.generator,
        params=chosen,
        overridden=tuple(overridden),
        augmint=version(),
        grey_range=store.grey_range,
        init_from=source.origin,
    )


def mark(about: About, label: int, index: int) -> str | None:
    """The XMP packet of a synthetic image, if the set is marked."""
    if not about.params["export"]["mark"]:
        return None
    return Mark(about.generator, about.classes[label], index, about.seed, about.truncation).xmp()


def rows(about: About, record: Record) -> Iterator[Row]:
    """The manifest's rows of a part."""
    params = params_hash(about.params)
    for entry, written in zip(record.entries, record.written, strict=True):
        yield Row(
            file=written.file,
            name=entry.name,
            sha256=written.sha256,
            split=entry.split,
            label=about.classes[entry.label],
            label_index=entry.label,
            index=entry.index,
            synthetic=entry.synthetic,
            seed=about.seed if entry.synthetic else None,
            generator=about.generator if entry.synthetic else None,
            params=params,
            critic_score=entry.scores.get("critic"),
            label_confidence=entry.scores.get("confidence"),
            nearest_train=entry.scores.get("copies"),
            filters=tuple(entry.scores) if entry.synthetic else None,
            augmint=about.augmint,
        )
