"""torch-mimicry's own training steps of WGAN-GP (Lee & Town 2020), run on augmint's networks.

    pip install --no-deps --target FOLDER torch-mimicry

The rest of it wants TensorFlow, TensorBoard and an older torch. The steps timed here want none of them, so empty
modules stand in for the rest.
"""

import sys
from pathlib import Path
from unittest.mock import MagicMock

import torch
from plain import usual_layers
from torch import Tensor, nn

STAND_INS = (
    *("torch.utils.tensorboard", "skimage", "torch_mimicry.metrics", "torch_mimicry.datasets"),
    *("torch_mimicry.datasets.data_utils", "torch_mimicry.datasets.image_loader"),
)


class Mimicry:
    """Its ``train_step`` of generator and critic, with the interface of :class:`plain.Plain`."""

    def __init__(
        self, folder: Path, generator: nn.Module, critic: nn.Module, images: Tensor, labels: Tensor, batch_size: int
    ) -> None:
        sys.path.insert(0, str(folder))
        for name in STAND_INS:
            sys.modules.setdefault(name, MagicMock())
        from torch_mimicry.nets.wgan_gp import wgan_gp_base
        from torch_mimicry.training.metric_log import MetricLog

        self.log, self.images, self.batch_size, self.n_critic = MetricLog(), images, batch_size, 5
        self.device = next(generator.parameters()).device
        shape = generator.shape

        class Generator(wgan_gp_base.WGANGPBaseGenerator):
            def __init__(self) -> None:
                super().__init__(nz=shape.latent_dim, ngf=shape.width, bottom_width=shape.base)
                self.network = generator

            def forward(self, z: Tensor) -> Tensor:
                return self.network(z, torch.zeros(len(z), dtype=torch.long, device=z.device))

        class Critic(wgan_gp_base.WGANGPBaseDiscriminator):
            def __init__(self) -> None:
                super().__init__(ndf=shape.width)
                self.network = critic

            def forward(self, x: Tensor) -> Tensor:
                return self.network(x, torch.zeros(len(x), dtype=torch.long, device=x.device))[:, None]

        self.generator, self.critic = Generator().to(self.device), Critic().to(self.device)
        # as its own example of WGAN-GP sets them
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), 2e-4, betas=(0.0, 0.9))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), 2e-4, betas=(0.0, 0.9))
        self.labels = labels

    def _batch(self) -> tuple[Tensor, Tensor]:
        rows = torch.randint(0, len(self.images), (self.batch_size,))
        return (self.images[rows].float() / 127.5 - 1).to(self.device), self.labels[rows].to(self.device)

    def critic_step(self) -> None:
        """One update of the critic."""
        with usual_layers():
            self.critic.train_step(self._batch(), self.generator, self.critic_optimizer, self.log, self.device)

    def iteration(self) -> None:
        """``n_critic`` critic steps and a generator step."""
        for _ in range(self.n_critic):
            self.critic_step()
        with usual_layers():
            self.generator.train_step(self._batch(), self.critic, self.generator_optimizer, self.log, self.device)
