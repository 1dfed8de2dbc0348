"""What to use, by how much it beats plain training, and what rare classes gain: against sums of one's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.classifier.training import Recipe
from pipeline.experiment.arms import REAL, Arm
from pipeline.experiment.effect import Effect, estimate
from pipeline.experiment.pool import Pool
from pipeline.experiment.recommended import Right, in_words, outcome, recommend, recommended_arm
from pipeline.experiment.verdict import VerdictName
from pipeline.store import SPLITS, Store
from pipeline.wording import told

CLASSES = ("common", "half", "rare", "rarer", "untested", "other")
TRAIN, TEST = np.array([100, 50, 20, 5, 2, 90]), np.array([40, 40, 40, 40, 0, 40])
ARM = Arm("classical", Recipe("oversampling", "rand"), lr=1e-2)
POOL = Pool(*([np.zeros(0)] * 3), unit=np.array([0, 50, 80, 95, 98, 10]), alone=np.zeros(6))


@pytest.fixture
def store() -> Store:
    parts = {"train": TRAIN, "val": np.full(6, 10), "test": TEST}
    stops = np.cumsum([0, *(parts[name].sum() for name in SPLITS)]).tolist()
    found = Store(Path(), {"classes": CLASSES, "splits": {name: stops[i : i + 2] for i, name in enumerate(SPLITS)}})
    vars(found)["labels"] = np.concatenate([np.repeat(np.arange(6), parts[name]) for name in SPLITS])
    vars(found)["images"] = np.zeros((stops[-1], 1, 8, 8), np.uint8)
    return found


def right(store: Store, seed: int, *shares: float) -> np.ndarray:
    """Which test images six seeds know, of each class so large a share; mostly the same images."""
    labels, rng = store.split("test").labels, np.random.default_rng(seed)
    known = rng.random(len(labels)) < np.array(shares)[labels]
    return (known ^ (rng.random((6, 1, len(labels))) < 0.03)).astype(bool)


def recommended(store: Store, arm: Arm, plain: np.ndarray, hits: np.ndarray, rest: str = "") -> dict[str, Any]:
    def measure(outcomes: np.ndarray, *names: str | int, label: int | None = None) -> Effect:
        labels = store.split("test").labels
        chosen = slice(None) if label is None else labels == label
        rng = np.random.default_rng(0)
        return estimate(outcomes[..., chosen].astype(float), labels[chosen], resamples=500, rng=rng)

    val = np.zeros((6, 1, len(store.split("val"))), bool)
    val[2] = True
    return recommend(arm, Right(val, hits, plain), rest, measure, store, POOL)


def test_the_gain_is_the_difference_of_balanced_accuracies_and_rare_classes_are_told_of(store: Store) -> None:
    plain, hits = right(store, 1, 0.9, 0.8, 0.4, 0.1, 0, 0.9), right(store, 2, 0.9, 0.9, 0.8, 0.7, 0, 0.9)
    labels = store.split("test").labels
    recalls = [[one[:, 0, labels == c].mean() for c in np.unique(labels)] for one in (plain, hits)]
    found = recommended(store, ARM, plain, hits, "the synthetic images add nothing that can be seen")
    assert found["plain"] == pytest.approx(np.mean(recalls[0]))
    assert found["gain"] == pytest.approx(np.mean(recalls[1]) - np.mean(recalls[0]))
    assert 0 < found["gain_ci95"][0] < found["gain"] < found["gain_ci95"][1]
    assert [row["class"] for row in found["rarest"]] == ["rarer", "rare", "half"]  # tested, at most half of the largest
    row = found["rarest"][0]
    assert (row["train"], row["test"]) == (5, 40)
    assert (row["recall_plain"], row["recall"]) == (pytest.approx(recalls[0][3]), pytest.approx(recalls[1][3]))
    assert row["recall_ci95"][0] < row["recall"] < row["recall_ci95"][1]
    assert row["difference_ci95"][0] < row["difference"] < row["difference_ci95"][1]
    start = f"Use oversampling + RandAugment: {found['gain'] * 100:+.1f} points over plain training (95 % interval +"
    assert found["sentence"].startswith(start)
    assert (
        "; the synthetic images add nothing that can be seen. Recall of the rarest classes: 'rarer' (5 train"
        in found["sentence"]
    )
    assert found["best_seed"] == {"seed": 2, "draw": 0}


def test_a_gain_that_may_be_chance_is_called_so_and_plain_training_is_no_gain(store: Store) -> None:
    plain = right(store, 1, *[0.9] * 6)
    found = recommended(store, ARM, plain, right(store, 3, *[0.9] * 6))
    assert found["gain_ci95"][0] < 0 and ", which may be chance." in found["sentence"]
    same = recommended(store, REAL, plain, plain, outcome("HURTS", False))
    assert same["gain"] == 0
    assert same["sentence"].startswith("Use plain training: nothing that was tried did better on validation; the synth")


@pytest.mark.parametrize(
    ("verdict", "gained", "arm", "words"),
    [
        ("HELPS", True, "synthetic", ""),
        ("HURTS", False, "mixed", "the synthetic images cost accuracy"),
        ("EQUIVALENT", False, "mixed", "the synthetic images add nothing that matters"),
        ("INCONCLUSIVE", False, "mixed", "the synthetic images add nothing that can be seen"),
        (
            "INCONCLUSIVE",
            True,
            "mixed",
            "the synthetic images gain beyond chance, but not in the way that is asked for",
        ),
    ],
)
def test_synthetic_images_are_recommended_where_they_help(
    verdict: VerdictName, gained: bool, arm: str, words: str
) -> None:
    assert recommended_arm(verdict, "mixed") == arm
    assert outcome(verdict, gained) == words


def test_arms_in_words() -> None:
    head = Recipe(augment="rand", head="retrained")
    for arm, words in (
        (REAL, "the images as they are"),
        (
            Arm("x", Recipe("oversampling"), extra="copies", own_norms=True),
            "oversampling, with a second pass over copies of train images, in norms of their own",
        ),
        (Arm("x", Recipe("weights"), tau=1.5), "class weights + logit adjustment (τ 1.5)"),
        (Arm("x", Recipe(), extra="copies"), "the images as they are, with a second pass over copies of train images"),
        (
            Arm("x", Recipe("oversampling"), extra="synthetic"),
            "oversampling, with a second pass over 333 synthetic images",
        ),
        (
            Arm("x", head, extra="synthetic"),
            "RandAugment + retrained head, half of whose images are 333 synthetic images",
        ),
    ):
        assert in_words(arm, 333) == words


def test_figures_of_an_earlier_version_are_told_without_it() -> None:
    assert told({"sentence": "So."}) == "So."
    assert told({"sentence": "So.", "recommended": {"sentence": "Use it."}}) == "Use it. So."


def test_plain_training_whose_logits_are_adjusted_is_no_plain_training(store: Store) -> None:
    plain, hits = right(store, 1, 0.9, 0.8, 0.4, 0.1, 0, 0.9), right(store, 2, 0.9, 0.9, 0.8, 0.7, 0, 0.9)
    assert recommended(store, REAL, plain, plain)["sentence"].startswith("Use plain training")
    sentence = recommended(store, replace(REAL, tau=1.0), plain, hits)["sentence"]
    assert sentence.startswith("Use logit adjustment (τ 1): +") and "points over plain training" in sentence
