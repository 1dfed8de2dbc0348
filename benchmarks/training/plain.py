"""The textbook WGAN-GP loop, with each of augmint's levers as a switch, so that each can be timed alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gan.networks import resnet
from gan.networks.convolutions import double, halve

LEVERS = (
    "cheaper convolutions",
    "no generator graph in the critic step",
    "one pass for real and fake",
    "fused Adam",
    "bfloat16, penalty in float32",
    "penalty on half the batch",
    "penalty every 4th step",
    "set resident as uint8",
    "channels_last",
    "compiled critic step",
)


def usual_layers() -> AbstractContextManager[object]:
    """Within, the residual blocks convolve and then pool, as most code does: the same function in its usual form."""
    return patch.multiple(
        resnet,
        convolve=lambda conv, x: conv(x),
        convolve_and_halve=lambda conv, x: halve(conv(x)),
        double_and_convolve=lambda x, conv: conv(double(x)),
    )


class Plain:
    """A critic step and an iteration as most code writes them: float32, two passes, the default Adam.

    Args:
        generator, critic: conditional networks as ``gan.networks`` builds them.
        images: uint8 (N, C, H, W), and their labels (N,).
        levers: names out of :data:`LEVERS`.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int = 64,
        n_critic: int = 5,
        penalty_weight: float = 10.0,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        levers: tuple[str, ...] = (),
    ) -> None:
        self.on = {name: name in levers for name in LEVERS}
        self.layers = nullcontext if self.on["cheaper convolutions"] else usual_layers
        self.format = torch.channels_last if self.on["channels_last"] else torch.contiguous_format
        self.generator, self.critic = (n.to(memory_format=self.format) for n in (generator, critic))
        self.device = next(generator.parameters()).device
        self.batch_size, self.n_critic, self.penalty_weight = batch_size, n_critic, penalty_weight
        fused = {"fused": True} if self.on["fused Adam"] else {}
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas, **fused)
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), lr=lr, betas=betas, **fused)
        self.latent_dim = generator.shape.latent_dim
        self.steps = 0
        self._draw = (
            self._resident(images, labels) if self.on["set resident as uint8"] else self._loader(images, labels)
        )
        if self.on["compiled critic step"]:
            self._gradients = self._compiled()

    def iteration(self) -> None:
        """``n_critic`` critic steps and a generator step."""
        for _ in range(self.n_critic):
            self.critic_step()
        with self.layers():
            self._generator_step()

    def critic_step(self) -> None:
        """One update of the critic."""
        with self.layers():
            self._critic_step()

    def _critic_step(self) -> None:
        real, labels = self._draw()
        z = torch.randn(len(real), self.latent_dim, device=self.device)
        with torch.set_grad_enabled(not self.on["no generator graph in the critic step"]), self._autocast():
            fake = self.generator(z, labels).float()
        alpha = torch.rand(self._penalised(len(real)), 1, 1, 1, device=self.device)
        self.critic_optimizer.zero_grad()
        self._gradients(real, fake, labels, alpha)
        self.critic_optimizer.step()
        self.steps += 1

    def _generator_step(self) -> None:
        labels = torch.randint(0, self.generator.shape.classes, (self.batch_size,), device=self.device)
        z = torch.randn(self.batch_size, self.latent_dim, device=self.device)
        self.generator_optimizer.zero_grad()
        with self._autocast():
            loss = -self.critic(self.generator(z, labels), labels).float().mean()
        loss.backward()
        self.generator_optimizer.step()

    def _gradients(self, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> None:
        self._loss(self.critic, real, fake, labels, alpha).backward()

    def _loss(self, critic: Callable[..., Tensor], real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
        with self._autocast():
            if self.on["one pass for real and fake"]:
                scores = critic(torch.cat([real, fake]), torch.cat([labels, labels])).float()
                loss = scores[len(real) :].mean() - scores[: len(real)].mean()
            else:
                loss = critic(fake, labels).float().mean() - critic(real, labels).float().mean()
        if not len(alpha):
            return loss
        part = slice(len(alpha))
        mixed = (alpha * real[part] + (1 - alpha) * fake[part].detach()).detach()
        if torch.compiler.is_compiling():
            gradient = torch.func.grad(lambda x: critic(x, labels[part]).sum())(mixed)
        else:
            mixed.requires_grad_()
            scores = critic(mixed, labels[part])
            (gradient,) = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True)
        norm = gradient.flatten(1).norm(2, dim=1)
        every = 4 if self.on["penalty every 4th step"] else 1
        return loss + every * self.penalty_weight * ((norm - 1) ** 2).mean()

    def _compiled(self) -> Callable[..., None]:
        def loss(parameters: dict[str, Tensor], *batch: Tensor) -> Tensor:
            return self._loss(lambda *x: torch.func.functional_call(self.critic, parameters, x), *batch)

        differentiate = torch.compile(torch.func.grad(loss), fullgraph=True)

        def gradients(*batch: Tensor) -> None:
            found = differentiate({n: p.detach() for n, p in self.critic.named_parameters()}, *batch)
            for name, parameter in self.critic.named_parameters():
                parameter.grad = found[name]

        return gradients

    def _penalised(self, count: int) -> int:
        if self.on["penalty every 4th step"] and self.steps % 4:
            return 0
        return count // 2 if self.on["penalty on half the batch"] else count

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.on["bfloat16, penalty in float32"])

    def _loader(self, images: Tensor, labels: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
        dataset = TensorDataset(images.float() / 127.5 - 1, labels)
        batches = _endless(DataLoader(dataset, self.batch_size, shuffle=True, drop_last=True))

        def draw() -> tuple[Tensor, Tensor]:
            real, y = next(batches)
            return real.to(self.device, memory_format=self.format), y.to(self.device)

        return draw

    def _resident(self, images: Tensor, labels: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
        pixels, labels = images.to(self.device), labels.to(self.device)

        def draw() -> tuple[Tensor, Tensor]:
            rows = torch.randint(0, len(pixels), (self.batch_size,), device=self.device)
            return (pixels[rows].float() / 127.5 - 1).contiguous(memory_format=self.format), labels[rows]

        return draw


def _endless(loader: DataLoader):
    while True:
        yield from loader
