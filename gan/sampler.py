"""Images of a trained generator: image i is a function of (generator, seed, truncation, label, i) alone."""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from gan.ensemble import Ensemble
from gan.networks import Network
from gan.parts import at_once, in_chunks
from gan.pixels import to_pixels
from gan.seeds import stream
from gan.truncation import truncated

# The last bits of a convolution depend on the batch's shape, on the memory's layout and on how many threads share it.
# So images are always made in whole blocks of one class and one size, channels last, and on a CPU by one thread a
# block; a request takes what it wants from them.
BLOCK = 32


class Sampler:
    """Draws labelled images.

    >>> from gan.networks import Shape, build
    >>> shape = Shape(image_size=8, channels=1, classes=2, latent_dim=4, width=8)
    >>> sampler = Sampler(build("resnet", "generator", shape), seed=0)
    >>> images = sampler.draw(label=1, start=0, count=5)
    >>> images.shape, bool((images[3:] == sampler.draw(label=1, start=3, count=2)).all())
    (torch.Size([5, 1, 8, 8]), True)

    Args:
        generator: (z, labels) to images in [-1, 1]; put into eval mode and channels-last layout. Of an ensemble of M,
            image i comes from member i mod M.
        seed: names the sequence of images; the same seed gives the same images.
        device: where to run. On a CPU as many blocks are drawn at once as torch has threads.
        truncation: ψ in (0, 1], see :mod:`gan.truncation`; 1 for none.
    """

    def __init__(
        self, generator: Network, seed: int, device: torch.device | str = "cpu", truncation: float = 1.0
    ) -> None:
        self.generator = truncated(generator, truncation).to(device).to(memory_format=torch.channels_last).eval()
        self.seed, self.truncation = seed, truncation
        self.members = len(generator.members) if isinstance(generator, Ensemble) else 1
        self.block = at_once(BLOCK, generator.shape.image_size) * self.members
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
        blocks = self._blocks(label, range(first, last + 1))
        return torch.cat(blocks)[start - first * self.block :][:count]

    def _blocks(self, label: int, blocks: range) -> list[Tensor]:
        threads = torch.get_num_threads()
        if threads == 1 or self.device.type != "cpu":
            return [self._block(label, block) for block in blocks]
        try:
            with ThreadPoolExecutor(
                min(threads, len(blocks)), initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                return list(pool.map(lambda block: self._block(label, block), blocks))
        finally:
            torch.set_num_threads(threads)  # each thread has its own number, but a new one starts with the last one set

    @torch.inference_mode()
    def _block(self, label: int, block: int) -> Tensor:
        rng = stream(self.seed, "latent", label, block)
        z = torch.randn(self.block, self.generator.shape.latent_dim, generator=rng)
        labels = torch.full((self.block,), label, dtype=torch.int64)
        inputs = (z.to(self.device), labels.to(self.device))
        parts = in_chunks(self.generator, *inputs, at_once=self.block, unit=self.members)
        return torch.cat([to_pixels(images.float()).contiguous().cpu() for images in parts])
