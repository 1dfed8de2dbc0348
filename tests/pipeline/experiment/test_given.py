"""A test split from elsewhere is told of, and one that is a draw of the same images is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.experiment import given
from pipeline.metrics.embedders.domain import DomainEmbedder, train_domain_embedder
from pipeline.store import SPLITS, Store

Digits = tuple[np.ndarray, np.ndarray]
SIZES = {"train": 300, "val": 120, "test": 200}


@pytest.fixture(scope="module")
def embedder(digits: Digits) -> DomainEmbedder:
    images, labels = (array[: SIZES["train"]] for array in digits)
    return train_domain_embedder(images, labels, 10, steps=25, seed=0)


@pytest.fixture(autouse=True)
def trained_once(monkeypatch: pytest.MonkeyPatch, embedder: DomainEmbedder) -> None:
    """The train split is the same in all these tests; an embedder that knows the classes by half is enough."""
    monkeypatch.setattr(given, "train_domain_embedder", lambda *_, **__: embedder)


def store(digits: Digits, seed: int, splits: tuple[str, ...] = SPLITS, elsewhere: Any = None) -> Store:
    """Digits, those of val and test at random; test images as ``elsewhere`` would take them."""
    images, labels = digits
    first = SIZES["train"]
    rows = np.append(np.arange(first), first + np.random.default_rng(seed).permutation(len(labels) - first))
    rows = rows[: sum(SIZES.values())]
    stops = np.cumsum([0, *SIZES.values()]).tolist()
    summary = {"classes": [str(label) for label in range(10)], "ingest": {"given_splits": list(splits)}}
    summary["splits"] = {name: stops[i : i + 2] for i, name in enumerate(SPLITS)}  # type: ignore[assignment]
    made, pixels = Store(Path(), summary), images[rows]
    if elsewhere is not None:
        pixels[stops[2] :] = elsewhere(pixels[stops[2] :])
    vars(made).update(images=pixels, labels=labels[rows])
    return made


def right(size: int, share: float, seed: int) -> np.ndarray:
    """Which images five classifiers know: mostly the same ones."""
    rng = np.random.default_rng([size, seed])
    return (rng.random(size) < share) ^ (rng.random((5, 1, size)) < 0.05)


def compared(found: Store, val: float, test: float, seed: int = 0) -> dict[str, Any]:
    answers = right(SIZES["val"], val, seed), right(SIZES["test"], test, seed)
    told = given.compare_splits(found, *answers, seed=seed, resamples=500)
    assert told is not None
    return told


def test_splits_of_our_own_are_not_asked_about(digits: Digits) -> None:
    answers = right(SIZES["val"], 0.9, 0), right(SIZES["test"], 0.5, 0)
    for splits in ((), ("train",), ("train", "val")):
        assert given.compare_splits(store(digits, 0, splits), *answers, seed=0, resamples=500) is None


def test_exchangeable_splits_raise_no_alarm(digits: Digits) -> None:
    """Of twelve draws none is expected to: 0.01 by the images, less by the gap. The gap's interval covers 0."""
    told = [compared(store(digits, seed), 0.85, 0.85, seed) for seed in range(12)]
    assert sum(one["differ"] for one in told) <= 1
    assert sum(one["gap_ci95"][0] <= 0 <= one["gap_ci95"][1] for one in told) >= 10
    assert all(("like validation" in one["sentence"]) != one["differ"] for one in told)


def test_test_images_from_elsewhere_are_told_of_with_the_gap(digits: Digits) -> None:
    told = compared(store(digits, 0, elsewhere=lambda images: 255 - images // 2), 0.9, 0.6)
    assert told["differ"] and told["two_sample"]["p"] <= 0.01
    assert told["gap"] == pytest.approx(0.3, abs=0.12)
    low, high = told["gap_ci95"]
    assert 0 < low < told["gap"] < high
    assert "comes from elsewhere" in told["sentence"] and "need not be best on test" in told["sentence"]
    assert f"{told['gap'] * 100:+.1f} points" in told["sentence"]


def test_a_gap_without_a_difference_that_is_seen_and_the_other_way_round(digits: Digits) -> None:
    harder = compared(store(digits, 1), 0.9, 0.6)
    assert harder["differ"] and "harder than validation" in harder["sentence"]
    other = compared(store(digits, 1, elsewhere=lambda images: 255 - images // 2), 0.8, 0.85)
    assert other["differ"] and "does not fall beyond chance" in other["sentence"]


def test_the_gap_is_the_difference_of_two_balanced_accuracies(digits: Digits) -> None:
    """By scikit-learn, over the classes that both splits have."""
    from sklearn.metrics import balanced_accuracy_score

    found = store(digits, 2)
    val, test = found.split("val").labels, found.split("test").labels
    answers = [np.where(right(len(true), share, 3), true, (true + 1) % 10) for true, share in ((val, 0.9), (test, 0.7))]
    score = [
        np.mean([balanced_accuracy_score(true, one) for one in said[:, 0]])
        for true, said in zip((val, test), answers, strict=True)
    ]
    told = given.compare_splits(found, answers[0] == val, answers[1] == test, seed=0, resamples=500)
    assert told is not None and told["gap"] == pytest.approx(score[0] - score[1])
