"""The group ``train``: the GAN and its budget."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gan.config import LABEL_FADE, Config
from pipeline.params.fields import BatchSize, Count, Fraction, NotNegative, Positive, Section, one_of

Interval = Annotated[float, Field(ge=0.001, le=1e6)]  # kimg; the least is an image
Operation = Annotated[str, one_of("gan.augment:OPERATIONS")]
_GAN = Config(kimg=100.0)  # whose defaults are those of the keys that it has too
# choices of the train stage, not of the GAN
LOOP = {
    *("minutes", "seeds", "init_from", "launcher", "processes", "rollbacks"),
    *("grid_kimg", "snapshot_kimg", "checkpoint_seconds"),
}


class TrainParams(Section):
    """The conditional GAN and its budget, ``kimg`` or ``minutes``.

    What else may be null, or is not named in the file, is as the recipe says, else the family, else the default here.

    Attributes:
        augment: operations at full strength; ``auto`` chooses by the set's size, see :func:`gan.augment.choose`.
        mirror: see :data:`gan.symmetry.SYMMETRIES`.
        seeds: generators, each from a seed of its own, that sampling draws from in turn.
        launcher, processes: of how many processes share each batch, and what starts them.
        init_from: folder of models to go on from, see :mod:`pipeline.training.origin`; empty for fresh ones.
        rollbacks: returns to the last good state, with lower learning rates, before a divergence ends the run.
    """

    recipe: Annotated[str, one_of("gan.recipes:RECIPES", "auto")] = "wgan-gp"
    kimg: Positive | None = _GAN.kimg
    minutes: Positive | None = None
    seeds: Annotated[int, Field(ge=1, le=16)] = 1
    init_from: str = ""
    batch_size: BatchSize = _GAN.batch_size
    loss: Annotated[str, one_of("gan.losses:LOSSES")] | None = None
    n_critic: Count | None = None
    critic_lr: Positive | None = None
    generator_lr: Positive | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    lr_warmup: NotNegative = _GAN.lr_warmup
    burn_in: Fraction | None = None
    lr_end: Positive | None = None
    penalty_end: NotNegative | None = None
    beta2_end: Annotated[float, Field(ge=0, lt=1)] | None = None
    ema_start: Fraction | None = None
    augment_start: Fraction | None = None
    label_delay: Annotated[float, Field(ge=0, le=1 - LABEL_FADE)] = _GAN.label_delay
    lr_decay: Fraction = _GAN.lr_decay
    penalty: Annotated[str, one_of("gan.penalties:PENALTIES")] | None = None
    penalty_weight: NotNegative | None = None
    penalty_fraction: Annotated[float, Field(gt=0, le=1)] = _GAN.penalty_fraction
    penalty_every: Count | None = None
    drift_weight: NotNegative | None = None
    lecam: NotNegative = _GAN.lecam
    spectral_weight: NotNegative = _GAN.spectral_weight
    feature_matching: NotNegative = _GAN.feature_matching
    historical_averaging: NotNegative = _GAN.historical_averaging
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = _GAN.label_smoothing
    weight_clip: NotNegative | None = None
    packing: Annotated[int, Field(ge=1, le=8)] = _GAN.packing
    minibatch_std: Annotated[int, Field(ge=0, le=64)] | None = None
    minibatch_discrimination: Annotated[int, Field(ge=0, le=64)] = _GAN.minibatch_discrimination
    unlabelled_below: Annotated[int, Field(ge=0, le=512)] = _GAN.unlabelled_below
    unlabelled_weight: NotNegative = _GAN.unlabelled_weight
    latent_prior: Literal["normal", "class"] = "normal"
    style: Literal["demodulation", "adain"] = "demodulation"
    family: Annotated[str, one_of("gan.networks:FAMILIES", "auto")] | None = None
    width: Annotated[int, Field(ge=4, le=512)] = _GAN.width
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = _GAN.latent_dim
    ema_kimg: NotNegative = _GAN.ema_kimg
    augment: tuple[Operation, ...] | Literal["auto"] = _GAN.augment
    mirror: Literal["none", "horizontal", "dihedral"] = "none"
    balance: Fraction = _GAN.balance
    precision: Annotated[str, one_of("gan.objective:PRECISIONS", "auto")] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compiled: Literal["auto"] | bool = "auto"
    launcher: Literal["none", "torchrun"] = "none"
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    rollbacks: Annotated[int, Field(ge=0, le=10)] = 3
    snapshot_kimg: Interval = 20.0
    grid_kimg: Interval = 20.0
    checkpoint_seconds: NotNegative = 20.0

    @property
    def config(self) -> Config:
        """The GAN's own configuration; what is ``auto`` is still to be settled by the device and the set.

        Until then ``auto`` counts as the default in a recipe's place, and as null in a family's; see
        :mod:`pipeline.training.automatic`.
        """
        chosen = self.model_dump(exclude_unset=True, exclude={"recipe", "device", "precision", "compiled", *LOOP})
        chosen["kimg"] = math.inf if self.kimg is None else self.kimg
        if self.augment == "auto":
            chosen["augment"] = ()
        if self.family == "auto":
            chosen["family"] = None
        return Config.of("wgan-gp" if self.recipe == "auto" else self.recipe, **chosen)

    @field_validator("augment", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "auto":
            raise ValueError(f"give auto or a list, such as [{value}]; got {value!r}")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "TrainParams":
        if (self.kimg is None) == (self.minutes is None):
            raise ValueError("give the budget as kimg or as minutes, and null for the other one")
        if self.processes > 1 and self.launcher == "none":
            raise ValueError(
                f"processes ({self.processes}) share a batch under a launcher alone; give launcher: torchrun"
            )
        config = self.config
        if config.kimg * 1000 < config.images_per_iteration:
            raise ValueError(
                f"kimg ({self.kimg}) is less than one iteration of batch_size x n_critic = "
                f"{config.images_per_iteration} images; raise kimg"
            )
        return self
