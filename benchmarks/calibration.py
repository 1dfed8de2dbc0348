"""Calibration of the evaluation on Fashion-MNIST: what real images score, and what spoilt sets do.

    python benchmarks/calibration.py fashion-mnist.zip [draws] [images a side]

The embedder learns 10,000 images of the train split. Each draw parts 2,000 other real images into held-out ones and
ones that stand for synthetic images, which are then left as they are, robbed of two classes of ten, or mixed with
copies of training images.
"""

import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline.metrics.embedded import Embedded, Images, embed
from pipeline.metrics.embedders.domain import train_domain_embedder
from pipeline.metrics.quality import SPACES, copy_check, summarise
from pipeline.metrics.resampling import subset, subsets

CLASSES = tuple("0123456789")
DROPPED = {3: 6, 7: 9}  # class: the class drawn in its place
TRAIN, TEST = 1000, 1000  # images a class
REPEATS, NEIGHBOURS, STEPS = 10, 5, 300
PLANTED = (0.05, 0.2)
FIGURES = ("frechet_distance", "kid", "precision", "recall", "density", "coverage")


def main() -> None:
    """Prints the tables."""
    if len(sys.argv) < 2:
        print(f"skipped: python {sys.argv[0]} fashion-mnist.zip")
        return
    draws, size = (int(value) for value in (*sys.argv[2:4], *("100", "1000")[len(sys.argv[2:4]) :]))
    train, test = (read(Path(sys.argv[1]), split, most) for split, most in (("train", TRAIN), ("test", TEST)))
    domain = train_domain_embedder(*train, len(CLASSES), steps=STEPS, seed=0)
    features = domain.embed(train.images)
    pool = embed(test, domain, train.images, features)
    copied = embed(taken(train, np.arange(0, len(train.labels), 10)), domain, train.images, features)
    calibrate(pool, draws, size)
    spoil(pool, copied, features, max(draws // 10, 3), size)


def calibrate(pool: Embedded, draws: int, size: int) -> None:
    """Counts how often unseen real images in the place of synthetic ones score within the interval."""
    inside, missing = Counter[str](), Counter[str]()
    for number in range(draws):
        held_out, others = parted(pool, size, number)
        result = measured(held_out, others, number)
        for name, values in result["floor"].items():
            low, high = values["ci95"]
            inside[name] += low <= values["synthetic"] <= high
        missing.update(result["missing_classes"])
    table = Table("figure", "within the interval", title=f"unseen real images, {draws} draws, N = {size // 2} a side")
    for name, count in inside.items():
        table.add_row(name, f"{count / draws:.0%}")
    Console().print(table, f"classes called missing: {dict(missing)}")


def spoil(pool: Embedded, copied: Embedded, features: np.ndarray, draws: int, size: int) -> None:
    """What is said of honest sets, of sets without two classes, and of sets with copies."""
    table = Table("set", "figure", "mean", "least", "most", "unseen real", title=f"{draws} draws of each")
    for kind in ("honest", "two classes dropped", *PLANTED):
        results = []
        for number in range(draws):
            held_out, others = parted(pool, size, number)
            if kind == "two classes dropped":
                others = dropped(others)
            elif isinstance(kind, float):
                others = planted(others, copied, kind, number)
            results.append(measured(held_out, others, number))
            results[-1]["copies"] = copy_check(held_out, others, features, number)[0]
        add_rows(table, f"{kind:.0%} copies" if isinstance(kind, float) else str(kind), results)
    Console().print(table)


def add_rows(table: Table, kind: str, results: Sequence[dict[str, Any]]) -> None:
    """What was read of one kind of set, over its draws."""
    floor = results[0]["floor"]
    values = {name: [result["floor"][name]["synthetic"] for result in results] for name in FIGURES}
    expected = {name: "{:.3f} to {:.3f}".format(*floor[name]["ci95"]) for name in FIGURES}
    for space in SPACES:
        copies = [result["copies"][space] for result in results]
        values[f"copy share, {space}"] = [found["share"] for found in copies]
        expected[f"copy share, {space}"] = "0.010"
        values[f"C_T, {space}"] = [found["c_t"]["value"] for found in copies]
        expected[f"C_T, {space}"] = f"0 ± {copies[0]['c_t']['deviation']:.2f}"
    for name, of_draws in values.items():
        shown = (f"{value:.3f}" for value in (np.mean(of_draws), min(of_draws), max(of_draws)))
        table.add_row(kind, name, *shown, expected[name])
    missing = Counter(label for result in results for label in result["missing_classes"])
    table.add_row(kind, "called missing", ", ".join(f"{label} ({count})" for label, count in missing.items()))


def measured(held_out: Embedded, others: Embedded, seed: int) -> dict[str, Any]:
    """The figures of one draw."""
    rng = np.random.default_rng([1, seed])
    rows = [subsets(held_out.labels, others.labels, rng) for _ in range(REPEATS)]
    return summarise(held_out, others, CLASSES, rows, NEIGHBOURS)


def parted(pool: Embedded, size: int, seed: int) -> tuple[Embedded, Embedded]:
    """Two sets of ``size`` images that share none, in the class proportions of ``pool``."""
    rng = np.random.default_rng([0, seed])
    first = subset(pool.labels, size, rng)
    rest = pool.take(np.setdiff1d(np.arange(len(pool)), first))
    return pool.take(first), rest.take(subset(rest.labels, size, rng))


def dropped(others: Embedded) -> Embedded:
    """The same labels, but two classes show others."""
    rows = np.arange(len(others))
    for gone, shown in DROPPED.items():
        places = others.labels == gone
        rows[places] = np.resize(np.flatnonzero(others.labels == shown), places.sum())
    return replace(others.take(rows), labels=others.labels)


def planted(others: Embedded, copied: Embedded, share: float, seed: int) -> Embedded:
    """The first images of each class give way to copies of training images."""
    rng = np.random.default_rng([2, seed])
    count = round(share * len(others))
    kept = others.take(np.setdiff1d(np.arange(len(others)), subset(others.labels, count, rng)))
    copies = copied.take(subset(copied.labels, count, rng))
    return Embedded(**{name: np.concatenate([getattr(kept, name), getattr(copies, name)]) for name in vars(kept)})


def read(path: Path, split: str, most: int) -> Images:
    """The first ``most`` images a class of one split of the archive."""
    images, labels, counts = [], [], Counter[str]()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            parts = Path(name).parts
            if len(parts) >= 3 and parts[-3] == split and parts[-1].endswith(".png") and counts[parts[-2]] < most:
                counts[parts[-2]] += 1
                with archive.open(name) as file:
                    images.append(np.asarray(Image.open(file).convert("L")))
                labels.append(int(parts[-2]))
    return Images(np.stack(images)[:, None], np.array(labels))


def taken(images: Images, rows: np.ndarray) -> Images:
    """The images at ``rows``."""
    return Images(images.images[rows], images.labels[rows])


if __name__ == "__main__":
    main()
