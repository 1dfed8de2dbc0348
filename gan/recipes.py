"""Named sets of defaults, each a known way of training a GAN. What they leave out is as in ``gan.config.Config``."""

from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    # Gulrajani et al. 2017, with a smaller lambda and fewer critic steps, chosen by time to quality
    "wgan-gp": {"loss": "wasserstein", "penalty": "two_sided", "penalty_weight": 5.0, "n_critic": 2},
    # Petzka et al. 2018: only gradients above 1 are punished
    "wgan-lp": {"loss": "wasserstein", "penalty": "one_sided", "penalty_weight": 5.0, "n_critic": 2},
    # Arjovsky et al. 2017: clipped weights, many critic steps, DCGAN's networks; without momentum Adam is their RMSProp
    # (nearly). The bound is wider than their 0.01, with which scores fade out where no batch norm rescales them.
    "wgan": {
        "family": "dcgan",
        "loss": "wasserstein",
        "penalty": "none",
        "weight_clip": 0.05,
        "n_critic": 5,
        "critic_lr": 5e-4,
        "generator_lr": 5e-4,
    },
    # Goodfellow et al. 2014 with the zero-centred penalty that makes it converge (Mescheder et al. 2018)
    "gan": {"loss": "logistic", "penalty": "r1", "penalty_weight": 1.0, "n_critic": 1},
    # Radford et al. 2016: its network, its optimiser's settings, no penalty
    "dcgan": {
        "family": "dcgan",
        "loss": "logistic",
        "penalty": "none",
        "n_critic": 1,
        "critic_lr": 2e-4,
        "generator_lr": 2e-4,
        "beta1": 0.5,
    },
    # Huang et al. 2024 (R3GAN): relativistic pairs and zero-centred penalties on both sides. What is annealed goes as
    # far as in their code for ImageNet at 64x64; gamma begins at 1 there too.
    "r3": {
        "family": "r3",
        "loss": "relativistic",
        "penalty": "r1_r2",
        "penalty_weight": 1.0,
        "n_critic": 1,
        "burn_in": 0.5,
        "lr_end": 0.25,
        "penalty_end": 0.1,
        "beta2_end": 0.99,
        "ema_start": 0.0,
        "augment_start": 0.0,
    },
    # Karras et al. 2020: lazy R1. Learning rates are those of the family; gamma by trial, docs/benchmarks.md
    "stylegan2": {
        "family": "stylegan2",
        "loss": "logistic",
        "penalty": "r1",
        "penalty_weight": 1.0,
        "penalty_every": 16,
        "n_critic": 1,
        "beta2": 0.99,
    },
}
