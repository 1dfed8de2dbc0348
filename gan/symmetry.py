"""The symmetries of a square image: mirrored, and turned by quarters."""

import torch
from torch import Tensor

SYMMETRIES = {"none": 1, "horizontal": 2, "dihedral": 8}
"""How many images each kind makes of one: itself; also mirrored left to right; all that a square can become, which are
both mirrorings, the quarter turns, and these together."""


def reflect(images: Tensor, codes: Tensor) -> Tensor:
    """Each image by one of the symmetries.

    >>> reflect(torch.arange(4.0).view(1, 1, 2, 2), torch.tensor([1])).flatten().tolist()
    [1.0, 0.0, 3.0, 2.0]

    Args:
        images: (N, C, H, H), of any type.
        codes: int64 (N,) in [0, 8). Bit 0 mirrors left to right, bit 1 top to bottom, bit 2 about the main diagonal, in
            this order; so the numbers below ``SYMMETRIES[kind]`` are those of a kind.

    Returns:
        (N, C, H, H).
    """
    codes = codes.to(images.device).view(-1, 1, 1, 1)
    images = torch.where(codes & 1 > 0, images.flip(-1), images)
    images = torch.where(codes & 2 > 0, images.flip(-2), images)
    return torch.where(codes & 4 > 0, images.transpose(-1, -2), images)
