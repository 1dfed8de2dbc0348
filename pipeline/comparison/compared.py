"""What differs between two sides: choices, verdicts, figures; and what must be known before they are compared."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from pipeline.binding import CHOICES, STAGES, as_now, changed, read_figures
from pipeline.comparison.sides import Side
from pipeline.errors import UserError
from pipeline.figures import FIGURES
from pipeline.params import Params, load_params
from pipeline.plain_yaml import read_mapping
from pipeline.report.wording import NONE, between, count, number, percent, points

Tree = dict[str, Any]
VERDICT = ("verdict", "sentence", "delta", "ci95", "recipe", "dose", "baseline")


class Found:
    """What could be read of one side.

    Attributes:
        figures: by name, a key of :data:`pipeline.binding.STAGES`.
        rows: what is compared of them, by name.
        params: the choices, or ``None`` where today's augmint does not take them.
        missing: what could not be had, with the reason.
        notes: what must be known of it.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self.figures: dict[str, Tree] = {}
        self.rows: dict[str, Tree] = {}
        self.missing = dict(side.absent)
        self.notes: list[str] = []
        for name in (*ROWS, *(name for name in STAGES if name not in ROWS)):
            self._read_figures(name)
        self.params, self.choices = self._read_params()
        self.notes += [*self._of_other_files(), *self._of_each_other(), *self._of_stages()]

    def _read_figures(self, name: str) -> None:
        path = f"metrics/{name}.json"
        try:
            figures = read_figures(self.side.workspace, name)
            self.rows |= dict(ROWS[name](figures)) if name in ROWS else {}
            self.figures[name] = figures
        except UserError as error:
            self.missing.setdefault(path, str(error).removeprefix(f"{self.side.workspace.metrics(name)}: "))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self.missing[path] = f"of another form than this augmint knows ({type(error).__name__}: {error})"

    def _read_params(self) -> tuple[Params | None, Tree]:
        path = self.side.workspace.params
        try:
            params = load_params(path)
            return params, dict(_leaves(params.model_dump(mode="json")))
        except UserError as error:
            reason = str(error).partition("\n")[0].replace(str(path), "params.yaml")
        try:
            plain = dict(_leaves(read_mapping(path)))
        except (OSError, UserError):
            self.missing.setdefault("params.yaml", reason.removeprefix("params.yaml: "))
            return None, {}
        self.notes.append(f"params.yaml is shown as it stands there, as this augmint does not take it ({reason})")
        return None, plain

    def _of_other_files(self) -> Iterator[str]:
        """Of a folder: figures that were computed from other files than lie there now."""
        if self.side.revision is None:
            for name, figures in self.figures.items():
                if found := changed(figures, as_now(self.side.workspace, figures)):
                    yield f"metrics/{name}.json is out of date: {', '.join(found)} changed since"

    def _of_each_other(self) -> Iterator[str]:
        """Figures that were computed from two versions of one file."""
        made = {name: {row["file"]: row["sha256"] for row in one["made_from"]} for name, one in self.figures.items()}
        for (one, first), (other, second) in combinations(made.items(), 2):
            files = [file for file in first.keys() & second.keys() if first[file] != second[file]]
            if files := sorted(file for file in files if not file.startswith(CHOICES)):
                yield f"metrics/{one}.json and metrics/{other}.json are of different versions of {', '.join(files)}"

    def _of_stages(self) -> Iterator[str]:
        """Stages that DVC has not run with the choices that stand in params.yaml."""
        try:
            now = dict(_leaves(read_mapping(self.side.workspace.params)))
            ran = read_mapping(self.side.workspace.root / "dvc.lock")["stages"]
            for stage, entry in ran.items():
                then = dict(_leaves(entry.get("params", {}).get("params.yaml", {})))
                groups = {key.partition(".")[0] for key in then}
                names = {key for key in now if key.partition(".")[0] in groups} | then.keys()
                if found := sorted(key for key in names if now.get(key) != then.get(key)):
                    yield f"{stage} has not run with the choices of params.yaml yet: {', '.join(found)}"
        except FileNotFoundError:
            return
        except (OSError, UserError, KeyError, TypeError, AttributeError, ValueError) as error:
            self.missing.setdefault("dvc.lock", f"not what DVC writes ({type(error).__name__})")


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values by dotted key; an empty mapping is one."""
    for key, value in node.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def compared(one: Found, other: Found) -> Tree:
    """Everything that a comparison shows, as JSON can hold it; every list of two is (one, other)."""
    pair = (one, other)
    return {
        "sides": [
            {"name": each.side.name, "revision": each.side.revision, "missing": each.missing, "notes": each.notes}
            for each in pair
        ],
        "notes": list(_shared_notes(one, other)),
        "params": _params(one, other),
        "verdicts": [_verdict(each.figures.get("utility")) for each in pair],
        "figures": _figures(one.rows, other.rows),
    }


def _shared_notes(one: Found, other: Found) -> Iterator[str]:
    for name, what in (("utility", "verdicts"), ("quality", "figures of quality")):
        if name in one.figures and name in other.figures:
            sets = [
                {row["file"]: row["sha256"] for row in each.figures[name]["made_from"] if "data/store" in row["file"]}
                for each in (one, other)
            ]
            if sets[0] != sets[1]:
                yield f"the {what} are of different images (data/store), so that they are different tests"


def _params(one: Found, other: Found) -> list[Tree]:
    """The choices that differ, in the order of the file; where one is not known on a side, its value is missing."""
    if not one.choices or not other.choices:
        return []
    names = [*one.choices, *(name for name in other.choices if name not in one.choices)]
    absent = object()
    return [
        {"key": name, "values": [each.choices.get(name) for each in (one, other)]}
        for name in names
        if one.choices.get(name, absent) != other.choices.get(name, absent)
    ]


def _verdict(utility: Tree | None) -> Tree | None:
    return utility and {key: utility[key] for key in VERDICT}


def _figures(one: dict[str, Tree], other: dict[str, Tree]) -> list[Tree]:
    """One row a figure that either side has."""
    rows = []
    for name in [*one, *(name for name in other if name not in one)]:
        known = one.get(name) or other[name]
        values = [side[name]["value"] if name in side else None for side in (one, other)]
        rows.append({"figure": name, **{key: known[key] for key in ("title", "unit", "span")}, "values": values})
    return rows


# What is compared of each file ---------------------------------------------------------------------------------------


def _row(title: str, unit: str, value: Any, interval: Any = None, span: str = "95 % interval") -> Tree:
    """A figure, its interval (low, high) or ``None``, and what that is; ``unit`` as in :func:`shown`.

    Raises:
        TypeError: it is no number.
    """
    for each in (value, *(interval or ())):
        if isinstance(each, bool) or not isinstance(each, int | float | None):
            raise TypeError(f"{title}: {each!r} is no number")
    low, high = interval or (None, None)
    return {"title": title, "unit": unit, "span": span, "value": {"value": value, "interval": interval and [low, high]}}


def _of_utility(utility: Tree) -> Iterator[tuple[str, Tree]]:
    if not all(isinstance(utility[key], str) for key in ("recipe", "baseline")):
        raise TypeError("recipe and baseline are no text")
    yield "delta", _row("gain from synthetic images", "points", utility["delta"], utility["ci95"])
    arms = {"accuracy": ("accuracy with them", "synthetic"), "accuracy_without": ("best without", utility["baseline"])}
    for name, (title, arm) in arms.items():
        found = utility["arms"][arm]
        yield name, _row(title, "percent", found["balanced_accuracy"], found["ci95"])


def _of_quality(quality: Tree) -> Iterator[tuple[str, Tree]]:
    for name, floor in sorted(quality["floor"].items(), key=lambda item: _place(item[0])):
        title = FIGURES[name].title if name in FIGURES else name.replace("_", " ")
        yield name, _row(title, "number", floor["synthetic"], floor["ci95"], "95 % of real")


def _place(figure: str) -> tuple[int, str]:
    return (list(FIGURES).index(figure) if figure in FIGURES else len(FIGURES), figure)


def _of_train(train: Tree) -> Iterator[tuple[str, Tree]]:
    shipped = train["snapshot"]
    yield "kimg", _row("shipped after, kimg", "number", shipped["kimg"])
    yield "snapshot_kid", _row("KID on val", "number", shipped["kid"])


def _of_export(export: Tree) -> Iterator[tuple[str, Tree]]:
    yield "images", _row("exported images", "count", export["images"])


ROWS = {"utility": _of_utility, "quality": _of_quality, "train": _of_train, "export": _of_export}


def shown(row: Tree, index: int) -> tuple[str, str | None]:
    """The value of one side and its interval, as text: in points, per cent, as a number or a count."""
    cell = row["values"][index]
    if cell is None or cell["value"] is None:
        return NONE, None
    write = {"points": points, "percent": percent, "number": number, "count": count}[row["unit"]]
    unit = "number" if row["unit"] == "count" else row["unit"]
    return write(cell["value"]), cell["interval"] and between(cell["interval"], unit)
