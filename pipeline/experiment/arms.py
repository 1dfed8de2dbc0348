"""The arms of the experiment: what each trains on, and what it is called."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from pipeline.classifier.augmentation import Augment, Flips
from pipeline.classifier.head import EXTRA, head_steps
from pipeline.classifier.mixing import Mix
from pipeline.classifier.training import Recipe, second_steps
from pipeline.params import ClassifyParams


@dataclass(frozen=True)
class Arm:
    """One way to train the classifier.

    Attributes:
        name: its key in ``metrics/utility.json``.
        recipe: how its main images are used.
        images: what the main pass sees.
        extra: what a second forward pass sees, if there is one: the synthetic images, or ``copies``: for each
            synthetic image a real train image of the same class. Where the head is retrained there is no second pass,
            and they take part in that alone.
        own_norms: that pass has scales and shifts of batch normalisation of its own.
        dose: of synthetic images or copies; 1 is as many as the exported set has.
        lr: peak learning rate.
        weight_decay: of AdamW.
        tau: of the logit adjustment, see :mod:`pipeline.experiment.adjustment`; no part of the training.
    """

    name: str
    recipe: Recipe
    images: Literal["real", "synthetic"] = "real"
    extra: Literal["none", "synthetic", "copies"] = "none"
    own_norms: bool = False
    dose: float = 0.0
    lr: float = 0.0
    weight_decay: float = 0.0
    tau: float = 0.0

    @property
    def draws_matter(self) -> bool:
        """Whether another draw of the generator would train another classifier."""
        return "synthetic" in (self.images, self.extra)

    def key(self) -> str:
        """Names what is trained, whatever it is called: arms that train the same share their runs."""
        told = {name: value for name, value in asdict(self).items() if name not in ("name", "tau")}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def stack(self) -> str:
        """Names what classifiers of may be trained together: all of the arm but its rates."""
        return replace(self, lr=0.0, weight_decay=0.0).key()

    def images_seen(self, params: ClassifyParams, covered: float = 1.0) -> dict[str, int]:
        """Images that one seed's training takes in, by kind.

        Args:
            covered: the share of the classes that have extra images.
        """
        seen, times = {"real": 0, "synthetic": 0, "copies": 0}, 2 if self.recipe.mix == "cmo" else 1
        if self.recipe.head == "retrained":
            last = head_steps(params.steps) * params.batch_size
            extra = 0 if self.extra == "none" else round(EXTRA * covered * last)
            seen[self.images] += times * (params.steps * params.batch_size - last) + last - extra
        else:
            both = second_steps(params.steps, params.synthetic_until) if self.extra != "none" else 0
            seen[self.images] += times * (params.steps - (both if params.pretrain else 0)) * params.batch_size
            extra = times * both * params.second_batch
        if self.extra != "none":
            copied = round(params.copies_share * extra)
            seen["copies"] += copied
            seen[self.extra] += extra - copied
        return seen


REAL = Arm("real", Recipe())
BALANCED = (Arm("class_weights", Recipe("weights")), Arm("oversampling", Recipe("oversampling")))
AUGMENTS: tuple[Augment, ...] = ("trivial", "rand")
FLIPS: tuple[Flips, ...] = ("horizontal", "dihedral")
MIXES: tuple[Mix, ...] = ("mixup", "cutmix", "cmo")

USES = 3  # in a second pass, in one with norms of its own, in the head alone

ALONE: dict[str, tuple[Arm, ...]] = {
    "real": (REAL,),
    **{arm.name: (arm,) for arm in BALANCED},
    # balance and augmentation are chosen together, because what is best without augmentation need not be so with it
    "classical": tuple(
        Arm("classical", Recipe(arm.recipe.balance, kind)) for arm in (REAL, *BALANCED) for kind in AUGMENTS
    ),
}
"""Arms of real images that build on no other arm, by name; of several candidates the best on validation is tested."""


def flipped(classical: Arm) -> list[Arm]:
    """Candidates of ``classical``, once its balance and its augmentation are chosen."""
    return [replace(classical, recipe=replace(classical.recipe, flips=kind)) for kind in FLIPS]


def mixed(classical: Recipe) -> list[Arm]:
    """Candidates of that name: CMO balances the classes by itself, and takes the others as they come."""
    return [
        Arm("mixed", replace(classical, mix=kind, balance="none" if kind == "cmo" else classical.balance))
        for kind in MIXES
    ]


def with_head(base: Recipe) -> Recipe:
    """The features learnt of classes as they come, the head retrained on balanced ones."""
    return replace(base, balance="none", head="retrained")


def uses(name: str, base: Recipe, extra: Literal["synthetic", "copies"], dose: float) -> list[Arm]:
    """The ways to use synthetic images, or the control's copies: :data:`USES` of them."""
    return [
        Arm(name, base, extra=extra, dose=dose),
        Arm(name, base, extra=extra, dose=dose, own_norms=True),
        Arm(name, with_head(base), extra=extra, dose=dose),
    ]


def without_synthetic() -> tuple[str, ...]:
    """The arms that see no synthetic image, by name, in their order: one of them is the baseline."""
    return (*ALONE, "mixed", "retrained", "control")
