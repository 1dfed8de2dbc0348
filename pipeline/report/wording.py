"""How the report writes figures down."""

import json
import math
from collections.abc import Sequence
from typing import Any

LARGE = 1e5  # what is larger would be wider than a column of a telephone, and has no use for decimals
NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in per cent, without the sign for it: ``93.6``."""
    return NONE if value is None else f"{value * 100:.{digits}f}".replace("-", MINUS)


def points(value: float | None, digits: int = 2) -> str:
    """A difference of two fractions in percentage points: ``+0.70``."""
    return NONE if value is None else f"{round(value * 100, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def number(value: float | None, digits: int = 3) -> str:
    """A figure with three decimals, or another number of them; from :data:`LARGE` on as ``5.90e5``."""
    if value is None:
        return NONE
    rounded = round(value, digits) + 0.0
    if not LARGE <= abs(rounded) < math.inf:
        return f"{rounded:.{digits}f}".replace("-", MINUS)
    mantissa, _, power = f"{rounded:.2e}".partition("e+")
    return f"{mantissa}e{int(power)}".replace("-", MINUS)


def between(interval: Sequence[float] | None, unit: str = "percent", *digits: int) -> str:
    """An interval in ``percent``, ``points`` or as a ``number``: ``91.0 to 95.0``."""
    write = {"percent": percent, "points": points, "number": number}[unit]
    return NONE if interval is None else " to ".join(write(end, *digits) for end in interval)


def count(value: int | None) -> str:
    """A whole number with thousands marked."""
    return NONE if value is None else f"{value:,}"


def setting(value: Any) -> str:
    """A parameter's value, much as params.yaml writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {setting(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(setting, value))
    return value if isinstance(value, str) else json.dumps(value)
