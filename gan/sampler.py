"""Drawing from a trained generator: image i is a function of (generator, seed, label, i) alone."""

import torch
from torch import Tensor

from gan.batches import to_pixels
from gan.ensemble import Ensemble
from gan.networks import Network
from gan.seeds import stream

# The last bits of a convolution depend on the batch's shape. So images are always made in whole blocks of one class and
# one size, and a request takes what it wants from them.
BLOCK = 64


class Sampler:
    """Draws labelled images.

    Args:
        generator: (z, labels) to images in [-1, 1]; put into eval mode. Of an ensemble of M, image i comes from member
            i mod M.
        seed: names the sequence of images; the same seed gives the same images.
        device: where to run.
    """

    def __init__(self, generator: Network, seed: int, device: torch.device | str = "cpu") -> None:
        self.generator = generator.to(device).eval()
        self.seed = seed
        self.block = BLOCK * (len(generator.members) if isinstance(generator, Ensemble) else 1)
        self.device = torch.device(device)

    def draw(self, label: int, start: int, count: int) -> Tensor:
        """Images ``start`` to ``start + count`` of class ``label``.

        Returns:
            uint8 (count, C, H, W) on the CPU.

        Raises:
            ValueError: ``start`` or ``count`` is negative.
        """
        if start < 0 or count < 0:
            raise ValueError(f"start ({start}) and count ({count}) must not be negative")
        if count == 0:
            shape = self.generator.shape
            return torch.empty(0, shape.channels, shape.image_size, shape.image_size, dtype=torch.uint8)
        first, last = start // self.block, (start + count - 1) // self.block
        blocks = torch.cat([self._block(label, block) for block in range(first, last + 1)])
        return blocks[start - first * self.block :][:count]

    @torch.inference_mode()
    def _block(self, label: int, block: int) -> Tensor:
        z = torch.randn(
            self.block, self.generator.shape.latent_dim, generator=stream(self.seed, "latent", label, block)
        )
        labels = torch.full((self.block,), label, dtype=torch.int64)
        return to_pixels(self.generator(z.to(self.device), labels.to(self.device)).float()).cpu()
