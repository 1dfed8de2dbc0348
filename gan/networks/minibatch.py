"""Statistics over several images, which tell a critic when a generator draws the same image again and again."""

import torch
from torch import Tensor, nn

KERNELS, SIZE = 32, 5  # of mini-batch discrimination: comparisons, and numbers that each goes by


class MinibatchDiscrimination(nn.Module):
    """How near an image is to the others of its group, and what that says of it (Salimans et al. 2016, sec. 3.2).

    o_b(i) = Σ_j exp(-‖M_ib - M_jb‖₁), M_i = T h_i with learned T; one number a comparison b, of which the score is
    moved by a linear function. Groups are neighbours in the batch, as in :class:`MinibatchStd`.

    Args:
        features: of an image.
        group: images a group; the batch must part into such groups.
    """

    def __init__(self, features: int, group: int) -> None:
        super().__init__()
        self.group = group
        self.project = nn.Linear(features, KERNELS * SIZE, bias=False)
        self.score = nn.Linear(KERNELS, 1, bias=False)

    def nearness(self, h: Tensor) -> Tensor:
        """h (N, features) to o, at least float32 (N, KERNELS), each from 1 to ``group``: the image itself counts."""
        m = self.project(h)
        m = m.to(torch.promote_types(m.dtype, torch.float32)).view(-1, self.group, KERNELS, SIZE)
        apart = m.unsqueeze(1) - m.unsqueeze(2)
        size = apart * apart.detach().sign()  # abs() would differentiate a sign, for which torch makes odd tensors
        return torch.exp(-size.sum(dim=4)).sum(dim=2).flatten(0, 1)

    def forward(self, h: Tensor) -> Tensor:
        """h (N, features) to what is added to the scores, (N,)."""
        return self.score(self.nearness(h)).squeeze(1)


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
