"""The choices that training depends on, beside the data and the seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gan.recipes import RECIPES

LABEL_FADE = 0.2  # of the budget


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of one conditional GAN; the defaults are those of the recipe ``wgan-gp``.

    Attributes:
        kimg: budget, in thousands of real images shown to the critic; infinite where the caller counts otherwise.
        batch_size: real images a critic step; as many fake ones.
        n_critic: critic steps a generator step.
        critic_lr, generator_lr: learning rates of Adam.
        beta1, beta2: of Adam, both networks.
        lr_warmup: kimg over which both learning rates rise linearly from zero.
        lr_decay: the last share of the budget over which both learning rates fall linearly to zero; 0 never.
        burn_in: the first share of the budget, over which what follows moves along a cosine (Huang et al. 2024); 0 for
            none.
        lr_end, penalty_end: what both learning rates, and λ, are multiplied by in the end.
        beta2_end: what ``beta2`` becomes; None leaves it.
        ema_start, augment_start: what the half-life of the averaged generator, and the strength of the augmentation,
            are multiplied by at first.
        label_delay: the first share of the budget, in which both networks leave the labels out; over the
            next :data:`LABEL_FADE` of it they come in (after Shahbazi et al. 2022).
        loss: a name of ``gan.losses.LOSSES``.
        penalty: a name of ``gan.penalties.PENALTIES``.
        penalty_weight: λ of the penalty, called gamma for R1 and R2.
        penalty_fraction: share of each batch on which the penalty is taken.
        penalty_every: critic steps between penalties, each weighted so many times (Karras et al. 2020, lazy).
        lecam: weight of what holds the critic's scores near the averages of the other side's
            (``gan.regularisers.ScoreAverages``); 0 for none.
        spectral_weight: of the spectral norms of each class's gains and biases
            (``gan.regularisers.group_spectral``); 0 for none.
        feature_matching: weight of the distance between the critic's mean features of real and fake images, which the
            generator makes small (``gan.regularisers.feature_matching``); 0 for none.
        historical_averaging: weight of how far the weights of either network are from the mean of their past
            (``gan.regularisers.History``); 0 for none.
        label_smoothing: the critic takes real images for real to 1 less so much (``gan.losses.Loss.smoothed``).
        drift_weight: times E[D(x)²] over real images x, which keeps scores near zero (Karras et al. 2018).
        weight_clip: bound of the critic's weights after each step (Arjovsky et al. 2017); 0 for none.
        packing: images of one class that the critic judges together (PacGAN, Lin et al. 2018); 1 for none.
        minibatch_std: group size of the critic's batch statistics (Karras et al. 2018); 0 for none.
        minibatch_discrimination: group size of the critic's comparisons of images (Salimans et al. 2016); 0 for none.
        unlabelled_below: the generator's levels of so many pixels a side and less leave the label out (after Khorram
            et al. 2024); 0 for none.
        unlabelled_weight: of a second loss, which has no label: of images of the largest such level, which the
            generator draws too and the critic judges too (``gan.networks.low``); 0 for none.
        latent_prior: ``normal``; or ``class``, where each class learns a mean and a scale of the latent vector.
        style: what a generator of styles does with them: ``demodulation`` (StyleGAN2, Karras et al. 2020); or
            ``adain``, adaptive instance normalisation (the first StyleGAN, Karras et al. 2019).
        family: a name of ``gan.networks.FAMILIES``.
        width, latent_dim: sizes of its networks (see ``gan.networks.Shape``).
        ema_kimg: half-life of the averaged generator; 0 ships the last one.
        augment: operations of ``gan.augment`` on real and fake images.
        adaptive: their strength follows the critic's overfitting (Karras et al. 2020); else it is 1.
        mirror: a kind of ``gan.symmetry.SYMMETRIES``: real images are shown mirrored as well, and images are drawn so.
        balance: the b of p(class) ∝ count^(1 - b): 0 takes the classes as they come, 1 all equally often.
        precision: of scores and images, a name of ``gan.objective.PRECISIONS``; the penalty is float32 always.
        compiled: on a CUDA device an iteration is replayed as one graph (``gan.graphs``), with the critic's step
            compiled; elsewhere that step alone, which seldom pays.
    """

    kimg: float
    batch_size: int = 64
    n_critic: int = 2
    critic_lr: float = 1e-3
    generator_lr: float = 5e-4
    beta1: float = 0.0
    beta2: float = 0.9
    lr_warmup: float = 0.0
    lr_decay: float = 0.3
    burn_in: float = 0.0
    lr_end: float = 1.0
    penalty_end: float = 1.0
    beta2_end: float | None = None
    ema_start: float = 1.0
    augment_start: float = 1.0
    label_delay: float = 0.0
    loss: str = "wasserstein"
    penalty: str = "two_sided"
    penalty_weight: float = 5.0
    penalty_fraction: float = 0.5
    penalty_every: int = 1
    drift_weight: float = 0.0
    lecam: float = 0.0
    spectral_weight: float = 0.0
    feature_matching: float = 0.0
    historical_averaging: float = 0.0
    label_smoothing: float = 0.0
    weight_clip: float = 0.0
    packing: int = 1
    minibatch_std: int = 0
    minibatch_discrimination: int = 0
    unlabelled_below: int = 0
    unlabelled_weight: float = 0.0
    latent_prior: str = "normal"
    style: str = "demodulation"
    family: str = "resnet"
    width: int = 32
    latent_dim: int = 64
    ema_kimg: float = 5.0
    augment: tuple[str, ...] = ("translate", "scale", "rotate", "shear")
    adaptive: bool = False
    mirror: str = "none"
    balance: float = 0.5
    precision: str = "float32"
    compiled: bool = False

    def __post_init__(self) -> None:
        for name in ("minibatch_std", "minibatch_discrimination"):
            images = max(1, getattr(self, name)) * self.packing
            if self.batch_size % images:
                name = "packing" if self.batch_size % self.packing else name
                raise ValueError(f"{name}: a batch of {self.batch_size} does not part into groups of {images}")
        if not 0 <= self.label_delay <= 1 - LABEL_FADE:
            raise ValueError(f"label_delay: {self.label_delay} is not between 0 and {1 - LABEL_FADE}")

        if self.label_smoothing or self.spectral_weight or self.unlabelled_below or self.style != "demodulation":
            self._check_where_it_has_a_meaning()
        if self.unlabelled_weight and not self.unlabelled_below:
            raise ValueError("unlabelled_weight: without unlabelled_below every level has a label; give both, or 0")
        if self.unlabelled_below and self.latent_prior == "class":
            raise ValueError("latent_prior: class gives every level the label, which unlabelled_below keeps from some")

    def _check_where_it_has_a_meaning(self) -> None:
        from gan.losses import LOSSES  # here alone: without them this module does not load torch
        from gan.networks import FAMILIES

        if self.label_smoothing and LOSSES[self.loss].smoothed is None:
            able = " or ".join(name for name, loss in LOSSES.items() if loss.smoothed)
            raise ValueError(f"label_smoothing: the loss {self.loss} has no target to smooth; take {able}, or 0")
        family = FAMILIES[self.family]
        if self.spectral_weight and family.modulations is None:
            raise ValueError(f"spectral_weight: the family {self.family} has no gains and biases of classes; take 0")
        if self.unlabelled_below and not family.leaves_labels_out:
            raise ValueError(f"unlabelled_below: the family {self.family} has no levels without a label; take 0")
        if self.style != "demodulation" and not family.styled:
            able = " or ".join(name for name, one in FAMILIES.items() if one.styled)
            raise ValueError(f"style: {self.style} goes with the family {able}, not with {self.family}")

    @classmethod
    def of(cls, recipe: str, **choices: Any) -> "Config":
        """A recipe's hyper-parameters under choices of one's own.

        Each field is what the first of these says: ``choices``, where None says nothing; the recipe; the defaults of
        the family; the default above. A family's groups for batch statistics are made smaller where a batch does not
        part into them.

        >>> Config.of("dcgan", kimg=10, batch_size=32, beta1=None).beta1
        0.5

        Raises:
            KeyError: no such recipe or family.
        """
        from gan.networks import FAMILIES  # here alone: without networks this module does not load torch

        made = RECIPES[recipe] | {name: value for name, value in choices.items() if value is not None}
        defaults = dict(FAMILIES[made.get("family", cls.family)].defaults)
        if group := defaults.get("minibatch_std"):
            defaults["minibatch_std"] = _fitting(group, made)
        return cls(**defaults | made)

    @property
    def group(self) -> int:
        """Of how many that the critic judges each score may be a function; they stay together."""
        return math.lcm(max(1, self.minibatch_std), max(1, self.minibatch_discrimination))

    @property
    def images_per_iteration(self) -> int:
        """Real images that one iteration shows to the critic."""
        return self.batch_size * self.n_critic

    def annealed(self, share: float, start: float, end: float) -> float:
        """From ``start`` to ``end`` along half a cosine, once ``share`` of the budget is spent; 1 without a burn-in.

        >>> round(Config(kimg=1, burn_in=0.5).annealed(0.25, 1.0, 0.2), 6)
        0.6
        """
        if not self.burn_in:
            return 1.0
        left = (1 + math.cos(math.pi * min(1.0, share / self.burn_in))) / 2
        return end + (start - end) * left

    def label_strength(self, share: float) -> float:
        """How much labels count once ``share`` of the budget is spent, in [0, 1]."""
        return min(1.0, max(0.0, (share - self.label_delay) / LABEL_FADE)) if self.label_delay else 1.0

    @property
    def iterations(self) -> int:
        """How many iterations the budget holds, one at least."""
        return max(1, round(self.kimg * 1000 / self.images_per_iteration))


def for_size(recipe: str, family: str, image_size: int) -> dict[str, Any]:
    """What a family asks for at that size, in pixels, beside its defaults, where the recipe says nothing of it.

    >>> for_size("stylegan2", "stylegan2", 64), for_size("wgan", "stylegan2", 64), for_size("wgan-gp", "stylegan2", 32)
    ({'critic_lr': 0.005, 'generator_lr': 0.005}, {}, {})

    Raises:
        KeyError: no such recipe or family.
    """
    from gan.networks import FAMILIES, LARGE

    asked = FAMILIES[family].large if image_size >= LARGE else {}
    return {name: value for name, value in asked.items() if name not in RECIPES[recipe]}


def _fitting(group: int, made: Mapping[str, Any]) -> int:
    """The largest part of ``group`` that a batch parts into; 0 where that is a single image."""
    judged = made.get("batch_size", Config.batch_size) // made.get("packing", Config.packing)
    fitting = math.gcd(group, judged)
    return fitting if fitting > 1 else 0
