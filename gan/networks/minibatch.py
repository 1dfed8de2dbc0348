"""Statistics over several images, which tell a critic when a generator draws the same image again and again."""

import torch
from torch import Tensor, nn


class MinibatchStd(nn.Module):
    """Appends a channel with the standard deviation within groups of images (Karras et al. 2018, section 3).

    Groups are neighbours in the batch, so that real and fake images passed one after the other never meet in one.

    Args:
        group: images a group; the batch must part into such groups.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + 1, H, W)."""
        n, _, height, width = x.shape
        groups = x.float().reshape(n // self.group, self.group, -1)
        # the epsilon keeps the derivative of the root finite where all images are the same
        spread = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=1)
        channel = spread.repeat_interleave(self.group).view(n, 1, 1, 1).expand(n, 1, height, width)
        return torch.cat([x, channel.to(x.dtype)], dim=1)
