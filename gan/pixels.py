"""Images as they lie on disks and as networks see them."""

import torch
from torch import Tensor


def to_floats(pixels: Tensor) -> Tensor:
    """Levels 0 to 255, uint8, as float32 in [-1, 1]; any shape."""
    return pixels.float() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, the nearest level; reverses :func:`to_floats`. Any shape.

    >>> to_pixels(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
