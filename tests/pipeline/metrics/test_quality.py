"""Calibration on real images: what unseen digits score, and what is said of sets that are spoilt on purpose."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.evaluation import tables
from pipeline.metrics.embedded import Images
from pipeline.metrics.embedders import Embedder
from pipeline.metrics.embedders.domain import DomainEmbedder, train_domain_embedder
from pipeline.metrics.embedders.inception import InceptionEmbedder
from pipeline.metrics.quality import FRECHET_LEAST, Settings, measure
from pipeline.metrics.resampling import subset
from pipeline.store import Store

CLASSES = [str(digit) for digit in range(10)]
TRAINED = 600
COPY_FIGURES = ("copy_share_pixel", "copy_share_feature")


@pytest.fixture(scope="module")
def train(digits_store: Store) -> Images:
    return Images(digits_store.images[:TRAINED], digits_store.labels[:TRAINED])


@pytest.fixture(scope="module")
def domain(train: Images) -> DomainEmbedder:
    return train_domain_embedder(train.images, train.labels, 10, steps=120, seed=1)


@pytest.fixture(scope="module")
def unseen(digits_store: Store) -> Images:
    """1,197 digits that the embedder has not seen."""
    return Images(digits_store.images[TRAINED:], digits_store.labels[TRAINED:])


def taken(images: Images, rows: np.ndarray) -> Images:
    return Images(images.images[rows], images.labels[rows])


def parted(unseen: Images, seed: int) -> tuple[Images, Images]:
    """600 digits to stand for the held-out ones, 597 others to stand for the synthetic ones."""
    rows = subset(unseen.labels, 600, np.random.default_rng(seed))
    return taken(unseen, rows), taken(unseen, np.setdiff1d(np.arange(len(unseen.labels)), rows))


def measured(
    held_out: Images,
    synthetic: Images,
    train: Images | None,
    domain: DomainEmbedder,
    seed: int = 0,
    others: Sequence[Embedder] = (),
    mirror: str = "none",
    repeats: int = 10,
) -> dict[str, Any]:
    settings = Settings(repeats, neighbours=5, seed=seed, mirror=mirror)
    pixels = None if train is None else train.images
    return measure(held_out, synthetic, pixels, CLASSES, domain, others, settings).quality


def two_dropped(images: Images) -> Images:
    """Classes 3 and 7 are asked for, and 1 and 0 drawn in their place."""
    rows = np.arange(len(images.labels))
    for gone, shown in ((3, 1), (7, 0)):
        rows[images.labels == gone] = np.resize(np.flatnonzero(images.labels == shown), (images.labels == gone).sum())
    return Images(images.images[rows], images.labels)


def test_unseen_real_images_score_within_the_floor(unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    results = [measured(*parted(unseen, seed), train, domain, seed) for seed in range(6)]
    below = sum(len(result["below_floor"]) for result in results)
    assert below <= 0.05 * sum(len(result["floor"]) for result in results)
    for result in results:
        assert result["copy_share_pixel"] < 0.03
        assert abs(result["kid"]) < 3 * result["kid_standard_error"]
        assert result["label_agreement"] == pytest.approx(result["embedder_accuracy"], abs=0.04)
        assert result["worst_class_shortfall"] < 0.2
        assert result["missing_classes"] == []
        for space in ("pixel", "feature"):
            assert abs(result["copies"][space]["c_t"]["value"]) < 3.5 * result["copies"][space]["c_t"]["deviation"]


def test_two_dropped_classes_are_found_and_named(unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    held_out, others = parted(unseen, 0)
    result = measured(held_out, two_dropped(others), train, domain)
    assert {"coverage", "recall", "label_agreement", "kid", "frechet_distance"} <= set(result["below_floor"])
    assert result["coverage"] < result["floor"]["coverage"]["ci95"][0] - 0.05
    assert result["missing_classes"] == ["3", "7"]
    assert not any("3, 7" in note for note in result["notes"])  # the readers say it from the list
    assert {row["class"] for row in result["per_class"] if row["shortfall"] > 0.5} == {"3", "7"}
    assert result["worst_class"] in {"3", "7"}
    assert result["kid"] > 3 * result["kid_standard_error"]
    assert {result["bias"]["gaps"][name]["class"] for name in ("coverage", "label_agreement", "kid")} <= {"3", "7"}
    confused = np.array(result["bias"]["confusion"]["synthetic"])
    assert confused[3, 1] > 0.8 * confused[3].sum()
    assert confused[7, 0] > 0.8 * confused[7].sum()
    np.testing.assert_array_equal(confused.sum(axis=1), np.bincount(others.labels))


@pytest.mark.parametrize("planted", [0.05, 0.2])
def test_planted_copies_are_read_as_such(planted: float, unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    held_out, others = parted(unseen, 1)
    count = round(planted * len(others.labels))
    copied = Images(*(np.concatenate([a[:count], b[count:]]) for a, b in zip(train, others, strict=True)))
    result = measured(held_out, copied, train, domain)
    assert result["copies"]["exact_duplicates"] == count
    assert sum(row["exact_duplicates"] for row in result["per_class"]) == count
    for space in ("pixel", "feature"):
        copies = result["copies"][space]
        assert planted - 1e-3 <= copies["share"] <= planted + 0.025
        assert copies["ci95"][0] <= planted + 0.01 <= copies["ci95"][1]
        assert copies["status"] == ("FAIL" if copies["share"] > 0.05 else "WARN")
        assert f"copy_share_{space}" in result["below_floor"] or planted < 0.1
        assert copies["c_t"]["value"] < (-3 * copies["c_t"]["deviation"] if planted > 0.1 else 0)


@pytest.mark.parametrize(("mirror", "turned"), [("horizontal", np.fliplr), ("dihedral", np.rot90)])
def test_mirrored_copies_are_found_if_the_generator_learnt_mirrored_images(
    mirror: str, turned: Callable[[np.ndarray], np.ndarray], unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    held_out, others = parted(unseen, 1)
    planted = np.stack([turned(image[0])[None] for image in train.images[:120]])
    copied = Images(
        np.concatenate([planted, others.images[120:]]), np.concatenate([train.labels[:120], others.labels[120:]])
    )
    assert measured(held_out, copied, train, domain, repeats=2)["copies"]["exact_duplicates"] < 5
    result = measured(held_out, copied, train, domain, mirror=mirror, repeats=2)
    assert result["copies"]["exact_duplicates"] >= 120
    for space in ("pixel", "feature"):
        assert result["copies"][space]["status"] == "FAIL"
        assert result["copies"][space]["share"] == pytest.approx(0.2 + 0.8 * 0.01, abs=0.03)
    assert any("mirror images" in note for note in result["notes"])


def test_unseen_images_pass_with_a_mirror_as_they_do_without(
    unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    """Held-out images are measured in the same way; else nearer neighbours would look like copies."""
    shares = [measured(*parted(unseen, seed), train, domain, seed, mirror="dihedral", repeats=2) for seed in range(2)]
    for space in COPY_FIGURES:
        assert np.mean([result[space] for result in shares]) == pytest.approx(0.01, abs=0.01)


def test_collapse_to_one_image_a_class_is_found(unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    held_out, others = parted(unseen, 2)
    first = np.array([np.flatnonzero(others.labels == label)[0] for label in range(10)])
    result = measured(held_out, taken(others, first[others.labels]), train, domain)
    assert result["diversity"] == 0
    assert {"diversity", "coverage", "recall"} <= set(result["below_floor"])


def test_darker_and_blurred_images_are_found(unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    held_out, others = parted(unseen, 3)
    darker = np.round(others.images * 0.8).astype(np.uint8)
    result = measured(held_out, Images(darker, others.labels), train, domain)
    assert "intensity_drift" in result["below_floor"]
    mean = result["bias"]["intensity"]["mean"]
    assert mean["drift"][0] == pytest.approx(-0.2 * mean["real"][0], abs=3)
    assert mean["drift"][0] < mean["ci95"][0][0]
    assert result["bias"]["intensity"]["worst_class"] in CLASSES
    blurred = np.round((others.images + np.roll(others.images, 1, axis=-1).astype(float)) / 2).astype(np.uint8)
    result = measured(held_out, Images(blurred, others.labels), train, domain)
    assert "spectrum_drift" in result["below_floor"]
    spectrum = result["bias"]["spectrum"]
    assert spectrum["drift"] > spectrum["floor"]["ci95"][1]
    assert spectrum["synthetic"][-1] < spectrum["real"][-1] - 1
    assert spectrum["frequencies"] == [0.125, 0.25, 0.375, 0.5]


def test_no_frechet_headline_below_500_images_and_the_reason_is_given(
    unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    result = measured(*parted(unseen, 0), train, domain)
    assert result["images"] == {"synthetic": 597, "held_out": 600, "compared": 300, "train": TRAINED}
    assert result["images"]["compared"] < FRECHET_LEAST
    assert result["frechet_distance"] is None
    assert "500" in result["notes"][0]
    assert result["floor"]["frechet_distance"]["real"] > 0


def test_frechet_headline_from_500_images_on(unseen: Images, train: Images, domain: DomainEmbedder) -> None:
    held_out = taken(unseen, np.arange(1000))
    synthetic = taken(unseen, np.arange(500))
    result = measure(held_out, synthetic, None, CLASSES, domain, [], Settings(2, 5, 0)).quality
    assert result["frechet_distance"] == result["floor"]["frechet_distance"]["synthetic"]


def test_without_training_images_nothing_is_said_of_copies(
    unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    held_out, others = parted(unseen, 0)
    without, known = measured(held_out, others, None, domain), measured(held_out, others, train, domain)
    assert without["copies"] is None
    assert "No copy check" in without["notes"][-1]
    assert set(known) - set(without) == set(COPY_FIGURES)
    assert without["kid"] == known["kid"]
    for space in ("pixel", "feature"):
        assert known[f"copy_share_{space}"] == known["copies"][space]["share"]
    assert without["per_class"][0] == known["per_class"][0] | {
        name: None for name in known["per_class"][0] if "copy" in name or "exact" in name
    }


def test_a_class_too_small_to_tell_is_named_and_not_guessed(
    unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    held_out, others = parted(unseen, 0)

    def without_most(images: Images, left: int) -> Images:
        rare = np.flatnonzero(images.labels == 4)[:left]
        return taken(images, np.sort(np.concatenate([np.flatnonzero(images.labels != 4), rare])))

    result = measured(without_most(held_out, 1), without_most(others, 2), train, domain)
    row = result["per_class"][4]
    assert (row["n"], row["n_real"]) == (2, 1)
    assert row["kid"] is row["kid_real"] is row["coverage"] is row["coverage_real_low"] is None
    assert result["missing_classes"] == []
    assert "'4'." in result["notes"][-1]


class Pixels:
    """An embedder of somebody else."""

    name = "pixels:0"

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32)


class Tiny(nn.Module):
    """Stands in for the Inception network, which would take minutes: pixels as features."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 5, bias=False).requires_grad_(False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (images[:, 0].flatten(1) / 255,)


@pytest.fixture(scope="module")
def by_three(unseen: Images, train: Images, domain: DomainEmbedder) -> dict[str, Any]:
    """Two classes dropped, as three embedders see it."""
    held_out, others = parted(unseen, 0)
    others_too = [Pixels(), InceptionEmbedder("inception:0", Tiny())]
    return measured(held_out, two_dropped(others), train, domain, others=others_too)


def test_a_further_embedder_has_figures_and_floors_of_its_own(by_three: dict[str, Any]) -> None:
    pixels = by_three["embedders"]["pixels:0"]
    by_domain_alone = {"label_agreement", "intensity_drift", "spectrum_drift", *COPY_FIGURES}
    assert set(pixels["floor"]) == set(by_three["floor"]) - by_domain_alone
    assert {"kid", "coverage"} <= set(pixels["below_floor"])
    assert pixels["frechet_distance"] is None
    low = [row["class"] for row in pixels["per_class"] if row["coverage"] < 0.5 * row["coverage_real"]]
    assert low == ["3", "7"]


def test_only_inception_has_a_fid_and_an_inception_score(by_three: dict[str, Any]) -> None:
    inception, pixels = (by_three["embedders"][name] for name in ("inception:0", "pixels:0"))
    assert set(inception["floor"]) - set(pixels["floor"]) == {"fid", "inception_score"}
    assert set(pixels["floor"]) - set(inception["floor"]) == {"frechet_distance"}
    assert inception["fid"] is None  # 300 images a side are too few
    assert inception["floor"]["fid"]["synthetic"] > inception["floor"]["fid"]["ci95"][1]
    assert inception["inception_score"] > 1


def keys(tree: Any) -> set[str]:
    if isinstance(tree, list):
        return set().union(*map(keys, tree))
    if not isinstance(tree, dict):
        return set()
    below = [value for name, value in tree.items() if name != "embedders"]
    return set(tree).union(*map(keys, [*below, *tree.get("embedders", {}).values()]))


def test_the_page_of_the_figures_describes_every_key(by_three: dict[str, Any]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "quality.md").read_text()
    whole, parts = tables.parted(by_three)
    columns = {name for rows in parts.values() for name in rows[0]}
    assert {name for name in keys(whole) | columns if f"`{name}`" not in page} == set()


def test_the_figures_of_the_whole_do_not_grow_with_the_classes() -> None:
    sizes = []
    for count in (20, 80):
        rng, labels = np.random.default_rng(0), np.repeat(np.arange(count), 6)
        sides = [Images(rng.integers(0, 256, (len(labels), 1, 8, 8), dtype=np.uint8), labels) for _ in range(2)]
        names = [f"class {label}" for label in range(count)]
        embedder = train_domain_embedder(*sides[0], count, steps=1, seed=0)
        quality = measure(*sides, None, names, embedder, [], Settings(2, 3, 0)).quality
        whole, parts = tables.parted(quality)
        sizes.append(len(json.dumps(whole | {"missing_classes": []})))
        assert [row["class"] for row in parts["per_class"]] == names
    assert sizes[1] < sizes[0] + 300 < 8_000


def test_every_class_has_a_floor_with_an_interval_for_kid_and_coverage(
    unseen: Images, train: Images, domain: DomainEmbedder
) -> None:
    for row in measured(*parted(unseen, 0), train, domain)["per_class"]:
        for name in ("kid", "coverage"):
            assert row[f"{name}_real_low"] <= row[f"{name}_real"] <= row[f"{name}_real_high"]
        assert 0 <= row["coverage_real_low"] <= row["coverage_real_high"] <= 1
        for space in ("pixel", "feature"):
            low, value, high = (row[f"copy_share_{space}{end}"] for end in ("_low", "", "_high"))
            assert low <= value <= high
