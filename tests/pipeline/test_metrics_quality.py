"""Calibration on real images: what unseen digits score, and what is said of sets that are spoilt on purpose."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.metrics.distances import nearest
from pipeline.metrics.embedder import DomainEmbedder, train_domain_embedder
from pipeline.metrics.quality import FRECHET_LEAST, Embedded, compare_once, compared_at, summary
from pipeline.metrics.resampling import subset
from pipeline.store import Split, Store

CLASSES = [str(digit) for digit in range(10)]
NEIGHBOURS = 5


@pytest.fixture(scope="module")
def train(digits_store: Store) -> Split:
    split = digits_store.split("train")
    return Split("train", split.images[:600], split.labels[:600])


@pytest.fixture(scope="module")
def embedder(train: Split) -> DomainEmbedder:
    return train_domain_embedder(train, 10, steps=120, seed=1)


def embed(images: np.ndarray, labels: np.ndarray, train: Split, embedder: DomainEmbedder) -> Embedded:
    features, predicted = embedder.embed(images)
    pixel, feature = nearest(images, train.images)[0], nearest(features, embedder.embed(train.images)[0])[0]
    return Embedded(features, labels, predicted, pixel, feature)


@pytest.fixture(scope="module")
def unseen(digits_store: Store, train: Split, embedder: DomainEmbedder) -> Embedded:
    """1,197 digits that the embedder has not seen."""
    return embed(digits_store.images[600:], digits_store.labels[600:], train, embedder)


def parted(unseen: Embedded, seed: int) -> tuple[Embedded, Embedded]:
    """600 digits to stand for the held-out ones, 597 others to stand for the synthetic ones."""
    rows = subset(unseen.labels, 600, np.random.default_rng(seed))
    return unseen.take(rows), unseen.take(np.setdiff1d(np.arange(len(unseen)), rows))


def measured(held_out: Embedded, synthetic: Embedded, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    repeats = [compare_once(held_out, synthetic, 10, NEIGHBOURS, rng) for _ in range(10)]
    return summary(held_out, synthetic, CLASSES, repeats)


def test_unseen_real_images_score_within_the_floor(unseen: Embedded) -> None:
    results = [measured(*parted(unseen, seed), seed) for seed in range(6)]
    below = sum(len(result["below_floor"]) for result in results)
    assert below <= 0.05 * sum(len(result["floor"]) for result in results)
    for result in results:
        assert result["copy_share_pixel"] < 0.03
        assert abs(result["kid"]) < 3 * result["kid_standard_error"]
        assert result["label_agreement"] == pytest.approx(result["embedder_accuracy"], abs=0.04)
        assert result["worst_class_shortfall"] < 0.2


def test_two_dropped_classes_are_found_and_named(unseen: Embedded) -> None:
    held_out, others = parted(unseen, 0)
    rows = np.arange(len(others))
    for gone, shown in ((3, 1), (7, 0)):
        rows[others.labels == gone] = np.resize(np.flatnonzero(others.labels == shown), (others.labels == gone).sum())
    result = measured(held_out, replace(others.take(rows), labels=others.labels))
    assert {"coverage", "recall", "label_agreement", "kid", "frechet_distance"} <= set(result["below_floor"])
    assert result["floor"]["coverage"]["real"] - result["coverage"] > 0.1
    assert {row["class"] for row in result["per_class"] if row["shortfall"] > 0.5} == {"3", "7"}
    assert result["worst_class"] in {"3", "7"}
    assert result["kid"] > 3 * result["kid_standard_error"]


@pytest.mark.parametrize("planted", [0.05, 0.2])
def test_planted_copies_are_read_as_such(
    planted: float, unseen: Embedded, train: Split, embedder: DomainEmbedder
) -> None:
    held_out, others = parted(unseen, 1)
    count = round(planted * len(others))
    copies = embed(train.images[:count], train.labels[:count], train, embedder)
    kept = others.take(np.arange(count, len(others)))
    fields = {name: np.concatenate([getattr(copies, name), getattr(kept, name)]) for name in vars(kept)}
    result = measured(held_out, Embedded(**fields))
    for space in ("pixel", "feature"):
        low, high = result["copies"][space]["ci95"]
        assert planted - 1e-3 <= result[f"copy_share_{space}"] <= planted + 0.025
        assert low <= planted + 0.01 <= high
        assert f"copy_share_{space}" in result["below_floor"] or planted < 0.1


def test_collapse_to_one_image_a_class_is_found(unseen: Embedded) -> None:
    held_out, others = parted(unseen, 2)
    first = np.array([np.flatnonzero(others.labels == label)[0] for label in range(10)])
    result = measured(held_out, others.take(first[others.labels]))
    assert result["diversity"] == 0
    assert {"diversity", "coverage", "recall"} <= set(result["below_floor"])


def test_no_frechet_headline_below_500_images_and_the_reason_is_given(unseen: Embedded) -> None:
    result = measured(*parted(unseen, 0))
    assert result["images"]["compared"] == 300 < FRECHET_LEAST
    assert result["frechet_distance"] is None
    assert "500" in result["notes"][0]
    assert result["floor"]["frechet_distance"]["real"] > 0


def test_frechet_headline_from_500_images_on(unseen: Embedded) -> None:
    twice = unseen.take(np.arange(2 * len(unseen)) % len(unseen))
    assert compared_at(len(twice), 500) == 500
    rng = np.random.default_rng(0)
    drawn = twice.take(np.arange(500))
    result = summary(twice, drawn, CLASSES, [compare_once(twice, drawn, 10, NEIGHBOURS, rng) for _ in range(2)])
    assert result["frechet_distance"] == result["floor"]["frechet_distance"]["synthetic"]


def test_a_class_too_small_to_tell_is_named_and_not_guessed(unseen: Embedded) -> None:
    held_out, others = parted(unseen, 0)
    rare = np.flatnonzero(others.labels == 4)[:2]
    few = others.take(np.sort(np.concatenate([np.flatnonzero(others.labels != 4), rare])))
    real = held_out.take(np.sort(np.concatenate([np.flatnonzero(held_out.labels != 4), np.arange(1)])))
    result = measured(replace(real, labels=np.where(np.arange(len(real)) == 0, 4, real.labels)), few)
    row = result["per_class"][4]
    assert row["n"] == 2
    assert row["kid"] is None
    assert row["coverage"] is None
    assert "4." in result["notes"][-1]


def test_embedder_is_named_by_its_weights(train: Split) -> None:
    names = [train_domain_embedder(train, 10, steps=2, seed=seed).name for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("domain:")
    assert len(names[0]) == len("domain:") + 12
