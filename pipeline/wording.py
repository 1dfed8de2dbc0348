"""How names and counts are said in messages."""

from collections.abc import Mapping, Sequence

NAMED = 5


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first few of ``names``, quoted: ``'a', 'b' and 3 more``."""
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def counted(counts: Mapping[str, int]) -> str:
    """Counts with their reasons, the largest first: ``30 outside a class folder, 4 hidden``; ``""`` for none."""
    return ", ".join(f"{counts[reason]:,} {reason}" for reason in sorted(counts, key=lambda key: (-counts[key], key)))
