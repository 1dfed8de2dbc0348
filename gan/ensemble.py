"""Several generators as one, against what a single run's luck brings."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan.networks import Network


class Ensemble(Network):
    """Generators of one shape that take turns: row r of a batch comes from member r mod M.

    Args:
        members: M generators, one at least.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__(members[0].shape)
        self.members = nn.ModuleList(members)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,), N a multiple of M; returns (N, C, H, W) in [-1, 1]."""
        count = len(self.members)
        made = [member(z[turn::count], labels[turn::count]) for turn, member in enumerate(self.members)]
        return torch.stack(made, dim=1).flatten(0, 1)
