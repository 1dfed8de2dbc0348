"""What a critic gets to see in a step: the generator's images and real ones, augmented, and stacked where it packs."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan.augment import Changes, augment
from gan.config import Config
from gan.networks import Network
from gan.networks.low import lowered, with_low_images
from gan.objective import Objective
from gan.parts import Step


class ImageSource(Protocol):
    """Where real images come from; ``gan.real_images.RealImages`` is the usual one, and may also ``fetch`` them."""

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Labels in the sampling proportions, int64 (count,), on the CPU."""
        ...

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Names a real image of each label, (N, ...) on the CPU."""
        ...

    def images(self, drawn: Tensor) -> Tensor:
        """What was drawn, and fetched if need be, by now on the device: float32 (N, C, H, W) in [-1, 1]."""
        ...


class Shown(NamedTuple):
    """What a step's critic gets to see.

    Attributes:
        images: of the generator, before augmentation, (N, C, H, W).
        fake, real: those and real ones as the critic gets them; None where real ones are not asked for.
        low_fake, low_real: the same of the smaller images that go with ``unlabelled_weight``.
    """

    images: Tensor
    fake: Tensor
    real: Tensor | None
    low_fake: Tensor | None
    low_real: Tensor | None


def shown(objective: Objective, generator: Network, source: ImageSource, given: Step) -> Shown:
    """What the generator makes of a step's draws, and the real images among them, as the critic gets them."""
    config = objective.config
    low_fake = low_real = real = None
    with objective.autocast(given.latents):
        if config.unlabelled_weight:
            images, low_fake = with_low_images(generator, given.latents, given.labels)
            low_fake = seen(config, low_fake, given.of_fake)
        else:
            images = generator(given.latents, given.labels)
    if given.real is not None and given.of_real is not None:
        whole = source.images(given.real)
        real = seen(config, whole, given.of_real)
        if config.unlabelled_weight:
            low_real = seen(config, lowered(whole, generator.shape), given.of_real)
    return Shown(images, seen(config, images, given.of_fake), real, low_fake, low_real)


def seen(config: Config, images: Tensor, changes: Changes) -> Tensor:
    """Images as the critic gets them: augmented, and ``packing`` of them stacked along the channels."""
    images = augment(images.float(), changes)
    packed = images.reshape(-1, images.shape[1] * config.packing, *images.shape[2:])
    return packed.contiguous(memory_format=torch.channels_last)
