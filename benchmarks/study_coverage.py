"""How often the interval of a study holds the truth, by simulation; NumPy alone, a minute.

    python benchmarks/study_coverage.py [sets]

Each setting draws many small labelled sets of its own population, cross-validates two learners on each, and asks of
every interval whether it holds the true difference: that of learners trained on as many fresh images as a fold's, on
many fresh test images. So folds are correlated just as cross-validation makes them.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.study.resampled import group_deviations, resampled

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
FEATURES, BOOTSTRAP = 8, 400
TRUTHS, FRESH = 3000, 1500  # train sets and test images behind a truth


def means(shrink: float, synthetic: int = 0) -> Learner:
    """The nearest class mean, drawn towards the middle; with images drawn about the means among those of training."""

    def answers(images: np.ndarray, labels: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        classes = int(labels.max()) + 1
        centres = np.stack([images[labels == k].mean(axis=0) for k in range(classes)])
        if synthetic:
            drawn = centres[:, None] + rng.normal(size=(classes, synthetic, images.shape[1]))
            centres = (centres + drawn.mean(axis=1)) / 2
        centres = centres + shrink * (centres.mean(axis=0) - centres)
        return (asked @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)

    return answers


def nearest(count: int) -> Learner:
    """The majority of the nearest train images, which hangs much on which ones they are."""

    def answers(images: np.ndarray, labels: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        distances = (images**2).sum(axis=1) - 2 * asked @ images.T
        near = labels[np.argpartition(distances, count - 1, axis=1)[:, :count]]
        votes = np.stack([(near == k).sum(axis=1) for k in range(int(labels.max()) + 1)], axis=1)
        return (votes + 1e-3 * rng.random(votes.shape)).argmax(axis=1)

    return answers


@dataclass(frozen=True)
class Setting:
    """A population, two learners, and how they are compared.

    Attributes:
        sizes: images a class.
        apart: of the classes' centres, in deviations.
        copies: near duplicates of each image, itself included.
    """

    name: str
    sizes: tuple[int, ...]
    apart: float
    learners: tuple[Learner, Learner]
    copies: int = 1

    def draw(self, sizes: tuple[int, ...], copies: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Images (N, F), labels (N,) and groups (N,)."""
        labels = np.repeat(np.arange(len(sizes)), [size // copies for size in sizes])
        centres = self.apart * np.eye(len(sizes), FEATURES)
        first = centres[labels] + rng.normal(size=(len(labels), FEATURES))
        groups = np.repeat(np.arange(len(labels)), copies)
        return first[groups] + 0.1 * (copies > 1) * rng.normal(size=(len(groups), FEATURES)), labels[groups], groups


def balanced(outcomes: np.ndarray, labels: np.ndarray) -> float:
    """The class-balanced mean."""
    return float(np.mean([outcomes[labels == k].mean() for k in np.unique(labels)]))


def difference(setting: Setting, train: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...], rng: np.random.Generator) -> np.ndarray:
    """Of each test image, the second learner right less the first one right."""
    first, second = (learner(train[0], train[1], test[0], rng) == test[1] for learner in setting.learners)
    return second.astype(np.float64) - first


def truth(setting: Setting, folds: int, rng: np.random.Generator, sets: int = TRUTHS) -> float:
    """The difference to be expected of train sets of a fold's size."""
    sizes = tuple(setting.copies * round(size / setting.copies * (1 - 1 / folds)) for size in setting.sizes)
    found = []
    for _ in range(sets):
        test = setting.draw((FRESH // len(sizes),) * len(sizes), 1, rng)
        found.append(balanced(difference(setting, setting.draw(sizes, setting.copies, rng), test, rng), test[1]))
    return float(np.mean(found))


def dealt(labels: np.ndarray, groups: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each image: whole groups, as even as can be within a class."""
    result = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        own = rng.permutation(np.unique(groups[labels == label]))
        for place, group in enumerate(own.tolist()):
            result[groups == group] = place % folds
    return result


def cross_validated(setting: Setting, folds: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The folds' differences (J,), every image's (N,), labels and groups."""
    images, labels, groups = setting.draw(setting.sizes, setting.copies, rng)
    fold = dealt(labels, groups, folds, rng)
    outcomes, by_fold = np.empty(len(labels)), []
    for number in range(folds):
        test = fold == number
        train = (images[~test], labels[~test])
        outcomes[test] = difference(setting, train, (images[test], labels[test]), rng)
        by_fold.append(balanced(outcomes[test], labels[test]))
    return np.array(by_fold), outcomes, labels, groups


def halves(setting: Setting, folds: int, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """A study's mean, and half the width of each interval."""
    by_fold, outcomes, labels, groups = cross_validated(setting, folds, rng)
    t = resampled(by_fold, 1 / (folds - 1))
    low, high = np.quantile(group_deviations(outcomes, labels, groups, BOOTSTRAP, rng), [0.025, 0.975])
    plain = t.half_width / np.sqrt(1 / folds + 1 / (folds - 1)) * np.sqrt(1 / folds)
    image = (high - low) / 2
    return t.mean, {"plain t": plain, "corrected t": t.half_width, "images": image, "wider": max(t.half_width, image)}


SETTINGS = (
    Setting("means, drawn together", (120, 60, 30), 1.5, (means(0.0), means(0.4))),
    Setting("means, with synthetic images", (120, 60, 30), 1.5, (means(0.0), means(0.0, synthetic=6))),
    Setting("nearest 1 and 3", (120, 60, 30), 2.0, (nearest(1), nearest(3))),
    Setting("nearest 1 and 3, near duplicates", (120, 60, 30), 2.0, (nearest(1), nearest(3)), copies=3),
    Setting("means and nearest", (60, 60), 1.5, (means(0.0), nearest(5))),
    Setting("no difference", (120, 60, 30), 1.5, (means(0.0, synthetic=6), means(0.0, synthetic=6))),
)


def coverage(setting: Setting, folds: int, sets: int, seed: int, truths: int = TRUTHS) -> dict[str, tuple[float, float]]:
    """Of each interval: the share of ``sets`` in which it holds the truth, and its mean half width."""
    rng = np.random.default_rng([seed, folds])
    expected = truth(setting, folds, rng, truths)
    inside: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(sets):
        mean, found = halves(setting, folds, rng)
        for name, half in found.items():
            inside.setdefault(name, []).append(abs(mean - expected) <= half)
            widths.setdefault(name, []).append(half)
    return {name: (float(np.mean(inside[name])), float(np.mean(widths[name]))) for name in inside}


def main() -> None:
    """Prints the table."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    table = Table("setting", "folds", title=f"intervals that hold the truth, in % of {sets} sets (half width, points)")
    for number, setting in enumerate(SETTINGS):
        for folds in (5, 10):
            found = coverage(setting, folds, sets, number)
            if not number and folds == 5:
                for name in found:
                    table.add_column(name, justify="right")
            table.add_row(setting.name, str(folds), *(f"{100 * c:.1f} ({100 * w:.1f})" for c, w in found.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
