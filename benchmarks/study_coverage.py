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

from pipeline.study.resampled import group_deviations, resampled, together

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
FEATURES, BOOTSTRAP = 8, 400
TRUTHS, FRESH = 1500, 900  # train sets and test images behind a truth


def means(features: int = FEATURES, synthetic: int = 0) -> Learner:
    """The nearest class mean by some of the features; with images drawn about the means among those of training."""

    def answers(images: np.ndarray, labels: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        classes = int(labels.max()) + 1
        centres = np.stack([images[labels == k].mean(axis=0) for k in range(classes)])[:, :features]
        if synthetic:
            drawn = centres[:, None] + rng.normal(size=(classes, synthetic, features))
            centres = (centres + drawn.mean(axis=1)) / 2
        return (asked[:, :features] @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)

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


def difference(
    setting: Setting, train: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...], rng: np.random.Generator
) -> np.ndarray:
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


def intervals(setting: Setting, folds: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Both ends of each interval of a study."""
    by_fold, outcomes, labels, groups = cross_validated(setting, folds, rng)
    ratio, noise = 1 / (folds - 1), group_deviations(outcomes, labels, groups, BOOTSTRAP, rng)
    corrected, plain = resampled(by_fold, ratio), resampled(by_fold, 0.0)
    image = float(np.subtract(*np.quantile(noise, [0.975, 0.025]))) / 2
    halves = {"plain t": plain.half_width, "corrected t": corrected.half_width, "images": image}
    halves["wider of both"] = max(corrected.half_width, image)
    halves["study"] = together(by_fold, noise, ratio, folds, rng).half_width
    mean = float(by_fold.mean())
    return {name: (mean - half, mean + half) for name, half in halves.items()}


SETTINGS = (
    Setting("class means by 2 and by all features", (120, 60, 30), 1.5, (means(2), means())),
    Setting("class means, and with synthetic images", (120, 60, 30), 1.5, (means(), means(synthetic=6))),
    Setting("nearest 1 and 3", (120, 60, 30), 2.0, (nearest(1), nearest(3))),
    Setting("the same, sets of near duplicates", (120, 60, 30), 2.0, (nearest(1), nearest(3)), copies=3),
    Setting("class means and nearest 5", (60, 60), 1.5, (means(), nearest(5))),
    Setting("two of the same, no difference", (120, 60, 30), 1.5, (means(synthetic=6), means(synthetic=6))),
)


def coverage(
    setting: Setting, folds: int, sets: int, seed: int, truths: int = TRUTHS
) -> dict[str, tuple[float, float]]:
    """Of each interval: the share of ``sets`` in which it holds the truth, and the mean of half its width."""
    rng = np.random.default_rng([seed, folds])
    expected = truth(setting, folds, rng, truths)
    inside: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(sets):
        for name, (low, high) in intervals(setting, folds, rng).items():
            inside.setdefault(name, []).append(low <= expected <= high)
            widths.setdefault(name, []).append((high - low) / 2)
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
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
