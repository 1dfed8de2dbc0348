"""``ingest``: any source of labelled images to the store that every later stage reads."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import replacing
from pipeline.binding import write_figures
from pipeline.ingest.decode import Target
from pipeline.ingest.grey import GreyScale
from pipeline.ingest.manifest import write_manifest
from pipeline.ingest.reading import Pixels, Records, read_all
from pipeline.ingest.selection import THINNED, Selection, select, store_channels
from pipeline.ingest.settling import settle
from pipeline.ingest.sharded import read_by
from pipeline.params import Params
from pipeline.sources import Listing, brought, open_source
from pipeline.stages import check
from pipeline.store import SPLITS, SplitName, write_store
from pipeline.wording import counted
from pipeline.workers import open_workers
from pipeline.workspace import Workspace

LISTED = 100
BYTES_AT_ONCE = 1 << 22
FEW_LEVELS = 64
"""A set of so few levels between its darkest and its brightest pixel is hardly meant so."""


def run(params: Params, workspace: Workspace) -> None:
    """Reads the source of ``params.data``, and writes the store and ``metrics/ingest.json``.

    Raises:
        UserError: no source, too many bad images, or a class without images in train or test.
    """
    check.require(params, workspace, check.BEFORE_INGEST)
    data = brought(params.data, workspace.root)
    source = open_source(data, workspace.root)
    listing, target = source.listing, Target(data.image_size, data.channels, data.fit, data.grey_range)
    with (
        open_workers(params.workers, workspace.scratch) as workers,
        replacing(workspace.store, workspace.metrics("ingest")) as (folder, metrics),
    ):
        folder.mkdir()
        scratch = folder / "pixels.raw"
        with Pixels(scratch, len(listing), target) as pixels:
            chunks = read_by(workers, data, workspace.root, target)
            records = read_all(source, pixels, target, data.max_bad_fraction, chunks=chunks)
            scale = settle([(pixels, records)], data.grey_range, data.channels)
            listing.ignored.update(records.passed)
            chosen = select(listing, records, pixels, params)
            figures = _figures(listing, records, chosen, scale)
            ends = _write(folder, listing, records, chosen, pixels, target, figures)
        scratch.unlink()
        write_figures(metrics, figures)
        _print(listing, figures, scale, ends)
    check.advise(params, workspace)


def _print(listing: Listing, figures: dict[str, Any], scale: GreyScale | None, ends: tuple[int, int]) -> None:
    """Prints what came in, what did not, and what became black and white."""
    splits = ", ".join(f"{name} {figures['images'][name]:,}" for name in SPLITS)
    print(
        f"ingest: {len(listing):,} images of {len(listing.classes)} classes: {splits}; "
        f"{figures['bad']['images']:,} bad, {figures['duplicates']['removed']:,} exact duplicates left out, "
        f"{figures['near_duplicates']['images']:,} near duplicates in {figures['near_duplicates']['groups']:,} groups"
    )
    if listing.ignored:
        print(f"ingest: passed over: {counted(listing.ignored)}")
    for note in figures["notes"]:
        print(f"ingest: note: {note}")
    for note in scale.notes() if scale else ():
        print(f"ingest: {note}")
    low, high = ends
    if high - low < FEW_LEVELS and not (scale and not scale.others):  # which has said so already
        print(
            f"ingest: warning: no pixel of the whole set is below {low} or above {high}, of 0 to 255: files that hold "
            "fewer bits than they have room for (as 12 bits in 16-bit colour, or 0 to 15 in bytes) are to be stretched "
            "to their whole range before"
        )


def _write(
    folder: Path,
    listing: Listing,
    records: Records,
    chosen: Selection,
    pixels: Pixels,
    target: Target,
    figures: dict[str, Any],
) -> tuple[int, int]:
    """Writes the store, and gives the darkest and the brightest level in it."""
    order = chosen.order
    channels = store_channels(records, order)
    shape = (channels, target.size, target.size)
    labels: dict[SplitName, np.ndarray] = {
        name: listing.labels[order[chosen.splits[order] == code]] for code, name in enumerate(SPLITS)
    }
    step = max(1, BYTES_AT_ONCE // int(np.prod(shape)))
    ends = np.array([255, 0])

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(order), step):
            block = pixels.read(order[start : start + step], records.grey, channels)
            ends[:] = min(ends[0], block.min()), max(ends[1], block.max())
            yield block

    with ThreadPoolExecutor(1) as beside:
        manifest = beside.submit(write_manifest, folder / "manifest.parquet", listing, records, chosen)
        write_store(folder, blocks(), labels, listing.classes, shape, {"ingest": figures})
        manifest.result()
    return int(ends[0]), int(ends[1])


def _figures(listing: Listing, records: Records, chosen: Selection, scale: GreyScale | None) -> dict[str, Any]:
    """What ``dvc metrics show`` shows (numbers), and what it passes over (lists, cut after the first hundred)."""
    totals = np.bincount(chosen.splits[chosen.splits >= 0], minlength=THINNED + 1).tolist()
    train = np.bincount(listing.labels[chosen.splits == 0], minlength=len(listing.classes))
    bad = sorted(records.reasons.items())
    reasons = Counter(error.reason for _, error in bad).most_common()
    copies = len(chosen.reasons) - len(bad)
    conflicting = sum(map(len, chosen.conflicting))
    given = [name for code, name in enumerate(SPLITS) if (listing.splits == code).any()]
    return {
        "images": {"found": len(listing), **dict(zip((*SPLITS, "thinned"), totals, strict=True))},
        "train_per_class": {"largest": int(train.max()), "smallest": int(train.min())},
        "imbalance_ratio": round(float(train.max() / train.min()), 4),
        "bad": {
            "images": len(bad),
            "reasons": [{"reason": reason, "images": count} for reason, count in sorted(reasons)],
            "first": [{"path": listing.paths[index], "reason": str(error)} for index, error in bad[:LISTED]],
        },
        "duplicates": {
            "removed": copies,
            "conflicting": conflicting,
            "first_conflicts": [_conflict(listing, group) for group in chosen.conflicting[:LISTED]],
        },
        "near_duplicates": _near_figures(listing, chosen),
        **({"grey_range": scale.figures()} if scale else {}),
        **({"given_splits": given} if given else {}),
        "passed_over": [{"reason": reason, "files": count} for reason, count in sorted(listing.ignored.items())],
        "notes": [*listing.notes, *chosen.notes],
    }


def _near_figures(listing: Listing, chosen: Selection) -> dict[str, Any]:
    groups = list(_groups(chosen.near))
    conflicts = [group for group in groups if len(np.unique(listing.labels[group])) > 1]
    across = [group for group in groups if len(np.unique(chosen.splits[group] % THINNED)) > 1]
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "largest": max(map(len, groups), default=0),
        "conflicting": len(conflicts),
        "across_given_splits": len(across),
        "first_conflicts": [_conflict(listing, group.tolist()) for group in conflicts[:LISTED]],
    }


def _groups(numbers: np.ndarray) -> Iterator[np.ndarray]:
    """The members of each group of two or more."""
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    for start, size in zip((np.cumsum(sizes) - sizes)[sizes > 1], sizes[sizes > 1], strict=True):
        yield order[start : start + size]


def _conflict(listing: Listing, group: list[int]) -> dict[str, Any]:
    """One group of duplicates under several labels: its size, and the first image of each label."""
    first: dict[str, str] = {}
    for index in group:
        first.setdefault(listing.classes[listing.labels[index]], listing.paths[index])
    return {"images": len(group), "examples": [{"label": label, "path": path} for label, path in first.items()]}
