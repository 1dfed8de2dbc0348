"""Gates: what a synthetic set must score, in ``metrics/quality.json``, before ``export`` makes it.

``evaluate.gates`` maps a figure to a bound::

    gate  = ("<=" | "<" | ">=" | ">") limit
    limit = number | [number] "floor" [("+" | "-") number]

``floor`` is the end of the 95 % interval of unseen real images that lies on the bad side: the upper one for ``<`` and
``<=``, the lower one for ``>`` and ``>=``. ``kid: "<= 3 floor"`` bounds KID by three times that, ``coverage: ">= floor
- 0.2"`` allows coverage to fall short of it by 0.2. Against the floor, figures are those at equal N, as the floor is.
"""

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.figures import FIGURES

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GATE = re.compile(
    rf"(?P<comparison>[<>]=?)\s*(?:(?P<number>[+-]?{_NUMBER})|"
    rf"(?P<factor>{_NUMBER})?\s*floor\s*(?P<offset>[+-]\s*{_NUMBER})?)"
)


@dataclass(frozen=True)
class Gate:
    """A bound ``factor * floor + offset``; a plain number has the factor 0."""

    comparison: str
    factor: float
    offset: float

    def limit(self, floor: tuple[float, float] | None) -> float | None:
        """The number to compare with; ``None`` where it takes a floor, (low, high), and there is none."""
        if not self.factor:
            return self.offset
        return None if floor is None else self.factor * floor[self.comparison.startswith("<")] + self.offset


def parse(text: str) -> Gate:
    """Reads one gate.

    >>> parse("<= 3 floor").limit((0.1, 0.2))  # three times the upper end, the bad one
    0.6000000000000001

    Raises:
        ValueError: it does not keep to the grammar.
    """
    found = _GATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'not a gate: {text!r}; write ">= 0.6", "<= 3 floor" or ">= floor - 0.2"')
    if found["number"]:
        return Gate(found["comparison"], 0.0, float(found["number"]))
    return Gate(found["comparison"], float(found["factor"] or 1), float((found["offset"] or "0").replace(" ", "")))


def check_figure(name: str) -> str:
    """``name``, if there is such a figure.

    Raises:
        ValueError: there is none; the nearest name is given.
    """
    if name not in FIGURES:
        nearest = difflib.get_close_matches(name, FIGURES, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown figure; did you mean `{nearest}`? (known here: {', '.join(sorted(FIGURES))})")
    return name


def check_gates(gates: dict[str, str]) -> dict[str, str]:
    """``gates``, if none takes the floor of a figure that has none.

    Raises:
        ValueError: one does.
    """
    for figure, text in gates.items():
        if not FIGURES[figure].floor and parse(text).factor:
            raise ValueError(f"{figure} has no floor; compare it with a number")
    return gates


def judge(gates: Mapping[str, str], quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What becomes of every gate, in the form of ``quality["gates"]``.

    Args:
        gates: figure to gate, valid.
        quality: the content of ``metrics/quality.json``.

    Returns:
        ``figure``, ``gate``, ``value``, ``limit`` and ``passed`` of each; a figure that was not measured has the value
        ``None`` and does not pass.
    """
    return [_judged(figure, text, quality) for figure, text in gates.items()]


def _judged(figure: str, text: str, quality: Mapping[str, Any]) -> dict[str, Any]:
    gate, floor = parse(text), _find(figure, quality, "floor")
    value = (floor or {}).get("synthetic") if gate.factor else _value(figure, quality)
    limit = gate.limit(tuple(floor["ci95"]) if floor else None)
    passed = value is not None and limit is not None and COMPARISONS[gate.comparison](value, limit)
    return {"figure": figure, "gate": text, "value": value, "limit": limit, "passed": passed}


def _value(figure: str, quality: Mapping[str, Any]) -> float | None:
    if figure == "missing_classes":
        return len(quality["missing_classes"])
    if figure == "copies":
        copies = quality["copies"]
        return copies and max(copies[space]["share"] for space in ("pixel", "feature"))
    return _find(figure, quality)


def _find(figure: str, quality: Mapping[str, Any], part: str | None = None) -> Any:
    """The figure, or its entry in ``part``, as the domain embedder has it, or else the first that knows it."""
    for tree in (quality, *quality["embedders"].values()):
        known = tree[part] if part else tree
        if figure in known:
            return known[figure]
    return None


def require(quality: Mapping[str, Any], force: bool) -> list[str]:
    """Lets a set pass whose gates all passed, or any with ``force``.

    Args:
        quality: the content of ``metrics/quality.json``.
        force: go on all the same.

    Returns:
        The figures whose gates were overridden; none without ``force``.

    Raises:
        UserError: gates failed; each is named with its figure, its value and what helps.
    """
    failed = [gate for gate in quality.get("gates", []) if not gate["passed"]]
    if failed and not force:
        lines = "\n".join(f"  {described(gate)}\n    {FIGURES[gate['figure']].remedy}" for gate in failed)
        raise UserError(
            f"metrics/quality.json: the generator fails {len(failed)} of {len(quality['gates'])} gates:\n{lines}\n"
            "mend that, or change evaluate.gates in params.yaml; `augmint export --force` exports all the same, and "
            "says so in the set"
        )
    return [gate["figure"] for gate in failed]


def described(gate: Mapping[str, Any]) -> str:
    """One judged gate in words: ``coverage is 0.21; the gate is >= 0.3 floor (0.286)``."""
    value = "was not measured" if gate["value"] is None else f"is {gate['value']:.4g}"
    limit = "" if gate["limit"] is None or "floor" not in gate["gate"] else f" ({gate['limit']:.4g})"
    return f"{gate['figure']} {value}; the gate is {gate['gate']}{limit}"
