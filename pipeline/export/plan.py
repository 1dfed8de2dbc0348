"""What a set is made of: synthetic images a class, and the real ones beside them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path

from rich.table import Table
from rich.text import Text

from pipeline.errors import UserError
from pipeline.escaping import terminal
from pipeline.params import Balance, ExportParams, locate
from pipeline.store import SPLITS, SplitName, Store

WORTH_FILLING = 0.1  # synthetic images over real ones; of fewer no classifier sees a difference
REAL_SPLITS: Mapping[str, tuple[SplitName, ...]] = {"none": (), "train": ("train",), "all": SPLITS}


@dataclass(frozen=True)
class Plan:
    """The images of a set, which are written in this order: real ones split by split, then synthetic ones by class.

    Attributes:
        classes: class names.
        train: real train images of each class, which the balance counts whether they are written or not.
        wanted: synthetic images of each class.
        real: the real images written, by split and class.
    """

    classes: tuple[str, ...]
    train: tuple[int, ...]
    wanted: tuple[int, ...]
    real: Mapping[SplitName, tuple[int, ...]]

    @property
    def total(self) -> int:
        """Images in the set."""
        return sum(self.wanted) + sum(map(sum, self.real.values()))

    @property
    def empty(self) -> list[str]:
        """Classes of which the set's train split holds no image."""
        real = self.real.get("train", (0,) * len(self.classes))
        return [name for name, *counts in zip(self.classes, self.wanted, real, strict=True) if not any(counts)]

    def table(self, title: str) -> Table:
        """The plan for a person to read: a row a class, and the sums."""
        table = Table("class", title=Text(terminal(title), "table.title"), show_footer=True, footer_style="bold")
        together = tuple(map(sum, zip(self.train, self.wanted, strict=True)))
        columns: dict[str, tuple[int, ...]] = {f"real {name}": counts for name, counts in self.real.items()}
        columns = columns or {"real train, not written": self.train}
        columns |= {"synthetic": self.wanted, "train with synthetic": together}
        for heading, counts in columns.items():
            table.add_column(heading, f"{sum(counts):,}", justify="right")
        table.columns[0].footer = "all"
        for name, *each in zip(self.classes, *columns.values(), strict=True):
            table.add_row(Text(terminal(name)), *(f"{count:,}" for count in each))
        return table


def make_plan(store: Store, counts: Mapping[str, int], include_real: str) -> Plan:
    """The plan for an ingested set.

    Args:
        store: the ingested set.
        counts: synthetic images by class; a class that is not named gets none.
        include_real: ``none``, ``train`` or ``all``: which real images are part of the set.
    """
    size = len(store.classes)
    train = tuple(store.split("train").counts(size).tolist())
    real = {name: tuple(store.split(name).counts(size).tolist()) for name in REAL_SPLITS[include_real]}
    return Plan(store.classes, train, tuple(counts.get(name, 0) for name in store.classes), real)


def balanced_counts(params: ExportParams, store: Store, file: Path) -> dict[str, int]:
    """Synthetic images by class, as ``export.balance`` and ``export.classes`` ask for them.

    Args:
        file: where the parameters stand, for the message.

    Raises:
        UserError: ``export.classes`` names a class that the set has not.
    """
    for name in params.classes:
        if name not in store.classes:
            where = locate(file, "export", "classes", name)
            raise UserError(f"{where}: export.classes.{name}: {no_such_class(name, store)}")
    train = store.split("train").counts(len(store.classes)).tolist()
    balances = [params.classes.get(name, params.balance) for name in store.classes]
    return dict(zip(store.classes, wanted(train, [settled(one, train) for one in balances]), strict=True))


def settled(balance: Balance, counts: Sequence[int]) -> Balance:
    """What ``auto`` stands for; any other balance is itself.

    Where filling the classes up to the largest takes :data:`WORTH_FILLING` of the real images at least, it is ``max``.
    A set that is balanced already gets as many synthetic images as it has real ones.

    >>> settled("auto", [110, 50, 4]), settled("auto", [100, 100, 99])
    ('max', 1.0)
    """
    if balance != "auto":
        return balance
    return "max" if sum(max(counts) - count for count in counts) >= WORTH_FILLING * sum(counts) else 1.0


def no_such_class(name: str, store: Store) -> str:
    """What is wrong with a class name that the ingested set does not know, and the nearest one that it does."""
    close = difflib.get_close_matches(name, store.classes, n=1, cutoff=0.0)[0]
    return f"no such class in {store.folder}; did you mean `{close}`?"


def wanted(counts: Sequence[int], balances: Sequence[Balance]) -> list[int]:
    """How many synthetic images each class gets.

    Args:
        counts: real train images of each class.
        balances: of each class, ``auto`` settled: ``"max"`` fills it to the size of the largest; a whole number fills
            it to that many, real images included; a float makes that many for each real image of the class, rounded
            half up.

    Returns:
        One number a class, 0 or more.
    """
    largest = max(counts)
    return [
        floor(balance * count + 0.5)
        if isinstance(balance, float)
        else max(0, (largest if isinstance(balance, str) else balance) - count)
        for count, balance in zip(counts, balances, strict=True)
    ]
