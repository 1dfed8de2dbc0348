"""The arms of the experiment: what each trains on, and what it is called."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.classifier.augmentation import Augment
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
            synthetic image a real train image of the same class.
        dose: of synthetic images or copies; 1 is as many as the exported set has.
        lr: peak learning rate.
        weight_decay: of AdamW.
    """

    name: str
    recipe: Recipe
    images: Literal["real", "synthetic"] = "real"
    extra: Literal["none", "synthetic", "copies"] = "none"
    dose: float = 0.0
    lr: float = 0.0
    weight_decay: float = 0.0

    @property
    def draws_matter(self) -> bool:
        """Whether another draw of the generator would train another classifier."""
        return "synthetic" in (self.images, self.extra)

    def key(self) -> str:
        """Names what is trained, whatever it is called: arms that train the same share their runs."""
        told = {name: value for name, value in asdict(self).items() if name != "name"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def images_seen(self, params: ClassifyParams) -> dict[str, int]:
        """Images that one seed's training takes in, by kind."""
        seen = {"real": 0, "synthetic": 0, "copies": 0}
        both = second_steps(params.steps, params.synthetic_until) if self.extra != "none" else 0
        seen[self.images] += (params.steps - (both if params.pretrain else 0)) * params.batch_size
        if self.extra != "none":
            copied = round(params.copies_share * both * params.second_batch)
            seen["copies"] += copied
            seen[self.extra] += both * params.second_batch - copied
        return seen


REAL = Arm("real", Recipe())
BALANCED = (Arm("class_weights", Recipe("weights")), Arm("oversampling", Recipe("oversampling")))
AUGMENTS: tuple[Augment, ...] = ("trivial", "rand")
MIXES: tuple[Mix, ...] = ("mixup", "cutmix")

ALONE: dict[str, tuple[Arm, ...]] = {
    "real": (REAL,),
    **{arm.name: (arm,) for arm in BALANCED},
    # balance and augmentation are chosen together, because what is best without augmentation need not be so with it
    "classical": tuple(Arm("classical", Recipe(arm.recipe.balance, kind)) for arm in BALANCED for kind in AUGMENTS),
}
"""Arms of real images that build on no other arm, by name; of several candidates the best on validation is tested."""


def without_synthetic() -> tuple[str, ...]:
    """The arms that see no synthetic image, by name, in their order: one of them is the baseline."""
    return (*ALONE, "mixed", "control")
