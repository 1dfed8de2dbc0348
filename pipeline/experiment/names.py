"""What the arms are called, and the order in which one reads them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # a page of results needs no torch
    from pipeline.classifier.training import Recipe

ORDER = (
    "real",
    "class_weights",
    "oversampling",
    "classical",
    "mixed",
    "retrained",
    "control",
    "synthetic",
    "synthetic_only",
)
"""Every arm by its key in ``metrics/utility.json``, from the plain one to those with synthetic images."""

TITLES = {
    "classical": "best classical",
    "mixed": "that + mixing",
    "retrained": "retrained head",
    "control": "control (copies)",
    "synthetic": "+ synthetic",
}
PARTS = {
    "none": "",
    "weights": "class weights",
    "oversampling": "oversampling",
    "affine": "affine",
    "trivial": "TrivialAugment",
    "rand": "RandAugment",
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "cmo": "CMO",
    "horizontal": "mirroring",
    "dihedral": "mirroring and quarter turns",
    "joint": "",
    "retrained": "retrained head",
}

Figures = TypeVar("Figures")


def title(name: str) -> str:
    """An arm's name as a reader sees it."""
    return TITLES.get(name, name.replace("_", " "))


def describe(recipe: "Recipe", tau: float = 0.0, own_norms: bool = False) -> str:
    """``oversampling + TrivialAugment + MixUp``; empty for images as they come.

    Args:
        tau: of the logit adjustment.
        own_norms: of the second pass.
    """
    kinds = (recipe.balance, recipe.augment, recipe.flips, recipe.mix, recipe.head)
    parts = [PARTS[kind] for kind in kinds if PARTS[kind]]
    parts += ["norms of their own"] if own_norms else []
    return " + ".join([*parts, f"logit adjustment (τ {tau:g})"] if tau else parts)


def in_order(arms: Mapping[str, Figures]) -> list[tuple[str, Figures]]:
    """The arms as one reads them; those that are not in :data:`ORDER` last.

    Args:
        arms: by name, as in ``metrics/utility.json``, where they stand by the alphabet.
    """
    return sorted(arms.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER))
