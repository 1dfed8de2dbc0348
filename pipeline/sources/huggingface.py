"""A set of the Hugging Face Hub, or a folder in any form that its library knows."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import replacing
from pipeline.errors import BusyError, UserError
from pipeline.progress import say
from pipeline.sources.base import (
    BadImageError,
    Listing,
    Payload,
    Source,
    class_names,
    printable,
    read_file,
    split_of,
    used_classes,
)
from pipeline.sources.tables import open_table
from pipeline.sources.tables.columns import OTHER_NAMES, say_unread
from pipeline.sources.tables.splits import walk
from pipeline.store import SPLITS
from pipeline.wording import listed

UNLABELLED = -1
EXTRA = "pip install 'augmint[huggingface]'"


def open_set(path: Path, name: str, download: bool, label: str) -> Source:
    """The set in the folder ``path``; fetched there first where ``name`` says what, and ``download`` that.

    Sets of Parquet or Arrow files, such as ``save_to_disk`` and the Hub have, are read as ``source: table`` reads them.
    All others are read by `datasets` itself: image folders with ``metadata.jsonl``, shards of WebDataset.

    Args:
        path: the folder.
        name: on the Hub, ``owner/name``, with ``:configuration`` and ``@revision`` where there are several.
        download: fetch it if the folder is not there.
        label: the column of the labels; empty where it is to be found out.

    Raises:
        UserError: no such folder, no `datasets` to read it with, or columns that are not plain.
        BusyError: the Hub does not answer.
    """
    if not path.exists() and name:
        if not download:
            raise UserError(
                f"data.path: {path}: not there; set data.download: true to fetch {name} from the Hugging Face Hub"
            )
        _fetch(name, path)
    if not path.exists():
        raise UserError(f"data.path: {path}: no such folder; name one, or the set by data.dataset: owner/name")
    if not path.is_dir() or walk(path)[0]:
        return open_table(path, label)
    return DatasetSource(path, label)


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise UserError(f"data.source: huggingface: this set takes the package `datasets`; {EXTRA}") from None
    datasets.disable_progress_bars()
    return datasets


def _fetch(name: str, path: Path) -> None:
    """Writes the set ``name`` of the Hub to the folder ``path``, in one step."""
    datasets = _library()
    owner, _, revision = name.partition("@")
    owner, _, configuration = owner.partition(":")
    say(f"ingest: fetching {name} from the Hugging Face Hub into {path}")
    try:
        found = datasets.load_dataset(owner, configuration or None, revision=revision or None)
    except (ConnectionError, TimeoutError) as error:
        raise BusyError(f"data.dataset: {name}: the Hub does not answer ({error}); try again with a network") from None
    except Exception as error:  # its builders raise what they like
        raise UserError(
            f"data.dataset: {name}: cannot be fetched from the Hub ({type(error).__name__}: {_line(error)}); name a "
            "set as owner/name, with :configuration where it has several"
        ) from None
    with replacing(path) as (part,):
        found.save_to_disk(part)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


class DatasetSource:
    """A folder that `datasets` reads, streamed: it keeps no copy of its own.

    Raises:
        UserError: it is none that `datasets` knows, or its columns of images and labels are not plain.
    """

    def __init__(self, folder: Path, label: str) -> None:
        self._folder = folder.resolve()
        datasets = _library()
        parts = _splits(datasets, folder)
        known = {split: split_of(split) for split in parts}
        aside = [split for split in parts if not known[split]] if any(known.values()) and len(parts) > 1 else []
        self._parts = {split: part for split, part in parts.items() if split not in aside}
        first = next(iter(self._parts.values()))
        self._image, self._label = _columns(datasets, first.features, folder, label)
        group = ["group"] if "group" in first.features else []
        say_unread(list(first.features), ["split", *group], folder)
        kind = first.features[self._label]
        labels, names, splits, groups = [], [], [], []
        for split, part in self._parts.items():
            code = SPLITS.index(name) if (name := known[split]) and len(parts) > 1 else -1
            for row, value in enumerate(part.select_columns([self._label, *group])):
                groups.append(_key(value.get("group")))
                labels.append(value[self._label])
                names.append(f"{split}/{row:08d}")
                splits.append(code)
        numbers, classes = _numbered(labels, getattr(kind, "names", None), folder)
        self._kept = numbers != UNLABELLED
        used, classes = used_classes(numbers[self._kept], classes)
        self.listing = Listing(
            paths=[printable(name) for name, kept in zip(names, self._kept.tolist(), strict=True) if kept],
            labels=used,
            classes=class_names(list(classes), str(folder)),
            splits=np.array(splits, np.int8)[self._kept],
            groups=[key for key, kept in zip(groups, self._kept.tolist(), strict=True) if kept] if group else None,
            ignored=+Counter(
                {"images without a label": int((~self._kept).sum()), **_counted(parts, aside, self._label)}
            ),
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        from datasets import Image

        index, row = 0, 0
        for part in self._parts.values():
            for value in part.cast_column(self._image, Image(decode=False)).select_columns([self._image]):
                if self._kept[row]:
                    yield index, partial(self._bytes, value[self._image] or {})
                    index += 1
                row += 1

    def _bytes(self, value: dict[str, Any]) -> bytes:
        """The file's bytes; a path counts below the set's folder alone."""
        if value.get("bytes"):
            return bytes(value["bytes"])
        path = value.get("path")
        if not path:
            raise BadImageError("no bytes in the set")
        if not Path(path).resolve().is_relative_to(self._folder):
            raise BadImageError("outside of the set's folder", str(path))
        return read_file(Path(path))


def _splits(datasets: Any, folder: Path) -> dict[str, Any]:
    try:
        found = datasets.load_dataset(str(folder), streaming=True)
        parts = {name: part if part.features else part._resolve_features() for name, part in found.items()}
    except Exception as error:  # its builders raise what they like
        raise UserError(
            f"data.path: {folder}: `datasets` cannot read it ({type(error).__name__}: {_line(error)}); use source: "
            "folder for class folders, or table for a CSV beside its images"
        ) from None
    return dict(parts)


def _columns(datasets: Any, features: Any, folder: Path, label: str) -> tuple[str, str]:
    """The columns of images and labels."""
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    if len(images) != 1:
        found = listed(images) if images else f"found: {listed(list(features))}"
        raise UserError(f"data.path: {folder}: {len(images) or 'no'} columns of images ({found}); one is needed")
    if label:
        if label not in features:
            raise UserError(f"data.label_column: {label}: no such column ({listed(list(features))})")
        return images[0], label
    classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    named = [name for name in features if name.lower() == "label"]
    likely = [name for name in features if name.lower() in OTHER_NAMES["label"]]
    for choice in (named, classes, likely):
        if len(choice) == 1:
            return images[0], choice[0]
    others = [name for name in features if name != images[0]]
    raise UserError(
        f"data.path: {folder}: which column holds the labels is not plain ({listed(others) or 'there is none'}); name "
        "it by data.label_column"
    )


def _key(value: Any) -> str:
    """A group as text; ``""`` for none."""
    return "" if value is None else str(value).strip()


def _counted(parts: dict[str, Any], aside: list[str], label: str) -> dict[str, int]:
    """The images of the splits ``aside``, which are neither train, val nor test."""
    return {f"images of the split {split!r}": sum(1 for _ in parts[split].select_columns([label])) for split in aside}


def _numbered(values: list[Any], names: list[str] | None, folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int64 (N,), -1 for none, and the class names."""
    if names is not None:
        return np.array([UNLABELLED if v is None else v for v in values], np.int64), tuple(names)
    if strange := [v for v in values if v is not None and not isinstance(v, str | int)]:
        raise UserError(f"data.path: {folder}: a label is {type(strange[0]).__name__}; whole numbers or texts are read")
    whole = all(isinstance(v, int) for v in values if v is not None)
    known = sorted({v for v in values if v is not None and not (whole and v == UNLABELLED)})
    if not whole:
        known = sorted({str(v) for v in values if v is not None})
    numbers = {str(v): i for i, v in enumerate(known)}
    width = max((len(str(v)) for v in known), default=1) if whole else 0
    labels = np.array([numbers.get(str(v), UNLABELLED) if v is not None else UNLABELLED for v in values], np.int64)
    return labels, tuple(f"{v:0{width}d}" if whole else str(v) for v in known)
