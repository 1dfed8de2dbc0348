"""Any classification data set of torchvision, by the name of its class."""

import inspect
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.sources.base import BadImageError, Listing, Payload, class_names
from pipeline.store import SPLITS, SplitName

SPLIT_VALUES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "trainval", "train-standard"),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}
"""What torchvision's classes call their splits; the first that a class knows is taken."""


class TorchvisionSource:
    """The splits of one data set, one after the other.

    Images are loaded one at a time: some of these classes draw from torch's global generator, or seek in one file.
    """

    def __init__(self, name: str, root: Path, download: bool) -> None:
        self._parts = _open_parts(name, root, download)
        labels = [_targets(part, name) for _, part in self._parts]
        numbers = np.concatenate(labels)
        counts = [len(part) for part in labels]
        self._lock = threading.Lock()
        self.listing = Listing(
            paths=[
                f"{split or 'all'}/{i:08d}" for (split, _), n in zip(self._parts, counts, strict=True) for i in range(n)
            ],
            labels=numbers,
            classes=_classes(self._parts[0][1], int(numbers.max()) + 1, name),
            splits=np.repeat([SPLITS.index(split) if split else -1 for split, _ in self._parts], counts).astype(
                np.int8
            ),
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        index = 0
        for _, part in self._parts:
            for position in range(len(part)):
                yield index, partial(self._read, part, position, int(self.listing.labels[index]))
                index += 1

    def _read(self, part: Any, position: int, label: int) -> Image.Image:
        with self._lock:
            try:
                image, target = part[position]
            except (OSError, ValueError, SyntaxError) as error:
                raise BadImageError("cannot be read", str(error)) from None
        if int(target) != label:
            raise BadImageError("label differs between two readings", f"{label} and {int(target)}")
        return image


def _open_parts(name: str, root: Path, download: bool) -> list[tuple[SplitName | None, Any]]:
    kind = _class(name)
    arguments = inspect.signature(kind).parameters
    fixed: dict[str, Any] = {"root": str(root)} if "root" in arguments else {}
    if download:  # some classes hand it on by **kwargs, so that the signature does not show it
        fixed["download"] = True
    if extra := [key for key, p in arguments.items() if key not in (*fixed, "train", "split") and _needed(p)]:
        raise UserError(f"data.dataset: torchvision's {name} needs the argument {extra[0]!r}, which has no place here")
    if download:
        root.mkdir(parents=True, exist_ok=True)
    elif "root" in arguments and not root.exists():
        raise UserError(f"data.path: {root}: no such folder; it is the root of torchvision's {name}")
    if "train" in arguments:
        if "split" in arguments and _needed(arguments["split"]):
            raise UserError(
                f"data.dataset: torchvision's {name} has several variants (split), which have no place here"
            )
        names: tuple[tuple[SplitName, bool], ...] = (("train", True), ("test", False))
        return [(split, _construct(kind, name, root, {**fixed, "train": value})) for split, value in names]
    if "split" in arguments:
        return _by_split(kind, name, root, fixed)
    return [(None, _construct(kind, name, root, fixed))]


def _by_split(kind: Any, name: str, root: Path, fixed: dict[str, Any]) -> list[tuple[SplitName | None, Any]]:
    parts: list[tuple[SplitName | None, Any]] = []
    for split, values in SPLIT_VALUES.items():
        for value in values:
            try:
                parts.append((split, _construct(kind, name, root, {**fixed, "split": value})))
                break
            except ValueError:  # torchvision's own check of the argument
                continue
    if not parts:
        raise UserError(f"data.dataset: torchvision's {name} has no split called train, val or test")
    return parts


def _construct(kind: Any, name: str, root: Path, arguments: dict[str, Any]) -> Any:
    try:
        return kind(**arguments)
    except TypeError as error:
        raise UserError(f"data.dataset: torchvision's {name} cannot be opened this way: {error}") from None
    except (RuntimeError, OSError, ImportError) as error:
        hint = "check the network" if arguments.get("download") else "set data.download: true, or put its files there"
        raise UserError(f"data.path: {root}: torchvision's {name} does not open: {error}; {hint}") from None


def _class(name: str) -> Any:
    from torchvision import datasets  # torch is slow to import, and other sources need none of it

    if name not in datasets.__all__:
        raise UserError(f"data.dataset: torchvision has no data set {name!r}; see torchvision.datasets for the names")
    return getattr(datasets, name)


def _needed(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic and parameter.name != "root"


def _targets(part: Any, name: str) -> np.ndarray:
    """Labels of one split, int64 (N,): from the list that most classes keep, else by loading every item."""
    image, target = part[0] if len(part) else (None, None)
    if not isinstance(image, Image.Image) or not isinstance(target, SupportsIndex):
        raise UserError(
            f"data.dataset: torchvision's {name} is no classification set: its items are "
            f"({type(image).__name__}, {type(target).__name__}), expected an image and a whole number"
        )
    for attribute in ("targets", "labels", "_labels", "y"):
        values = getattr(part, attribute, None)
        if values is not None and len(values) == len(part):
            return np.asarray(values, np.int64)
    return np.array([int(part[index][1]) for index in range(len(part))], np.int64)


def _classes(part: Any, count: int, name: str) -> tuple[str, ...]:
    names = getattr(part, "classes", None)
    if not isinstance(names, list) or len(names) < count:
        names = [f"{label:0{len(str(count - 1))}d}" for label in range(count)]
    return class_names([value if isinstance(value, str) else str(value) for value in names], f"torchvision's {name}")
