"""What became of the proposals of each class."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pipeline.export.filters import Judgement


@dataclass
class Tally:
    """What became of the proposals of a class, from its first one on.

    Attributes:
        drawn: proposals judged; also the index of the next one.
        accepted: proposals kept.
        rejected: proposals that each filter rejects; several may reject the same.
    """

    drawn: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, accepted: np.ndarray, judgement: Judgement, part: slice) -> None:
        """Counts some proposals of a block."""
        self.drawn += part.stop - part.start
        self.accepted += int(accepted[part].sum())
        for name, passed in judgement.passed.items():
            self.rejected[name] += int((~passed[part]).sum())

    def copy(self) -> "Tally":
        """The tally as it stands."""
        return Tally(self.drawn, self.accepted, Counter(self.rejected))
