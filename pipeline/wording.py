"""How names, counts and the answer are said."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMED = 5


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first few of ``names``, quoted: ``'a', 'b' and 3 more``."""
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def counted(counts: Mapping[str, int]) -> str:
    """Counts with their reasons, the largest first: ``30 outside a class folder, 4 hidden``; ``""`` for none."""
    return ", ".join(f"{counts[reason]:,} {reason}" for reason in sorted(counts, key=lambda key: (-counts[key], key)))


def recommendation(utility: Mapping[str, Any]) -> str:
    """What to train with, in a sentence; empty in figures of a version that did not say."""
    return str((utility.get("recommended") or {}).get("sentence", ""))


def told(utility: Mapping[str, Any]) -> str:
    """The answer in full: what to train with, then the verdict's own sentence."""
    return " ".join(filter(None, [recommendation(utility), str(utility["sentence"])]))
