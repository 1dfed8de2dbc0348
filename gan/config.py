"""The choices that training depends on, beside the data and the seed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of one conditional WGAN-GP.

    Attributes:
        kimg: budget, in thousands of real images shown to the critic.
        batch_size: real images a critic step; as many fake ones.
        n_critic: critic steps a generator step.
        critic_lr, generator_lr: learning rates of Adam, betas (0.0, 0.9).
        lr_decay: the last share of the budget over which both learning rates fall linearly to zero; 0 never.
        penalty_weight: lambda of the gradient penalty.
        penalty_fraction: share of each batch on which the penalty is taken.
        family, width, latent_dim: the networks (see ``gan.networks``).
        ema_kimg: half-life of the averaged generator; 0 ships the last one.
        augment: operations of ``gan.augment`` on real and fake images.
        balance: 0 draws the classes as they come, 1 all equally often, between: in between.
        precision: ``float32`` or ``bfloat16`` for scores and images; the penalty is float32 always.
    """

    kimg: float
    batch_size: int = 64
    n_critic: int = 2
    critic_lr: float = 1e-3
    generator_lr: float = 5e-4
    lr_decay: float = 0.3
    penalty_weight: float = 5.0
    penalty_fraction: float = 0.5
    family: str = "resnet"
    width: int = 32
    latent_dim: int = 64
    ema_kimg: float = 5.0
    augment: tuple[str, ...] = ("translate", "scale", "rotate", "shear")
    balance: float = 0.5
    precision: str = "float32"

    @property
    def images_per_iteration(self) -> int:
        """Real images that one iteration shows to the critic."""
        return self.batch_size * self.n_critic

    @property
    def iterations(self) -> int:
        """How many iterations the budget holds, one at least."""
        return max(1, round(self.kimg * 1000 / self.images_per_iteration))
