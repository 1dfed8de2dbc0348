"""Labels and splits out of file paths: which files are images of a class, and what becomes of all others."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Protocol

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.base import Listing, class_names, composed, look_of, printable, split_of
from pipeline.sources.exported import real_names
from pipeline.sources.losses import check_losses, passed_over
from pipeline.sources.sorting import covered, sort_out
from pipeline.sources.structure import NO_CLASSES, Folder, Place, read_structure
from pipeline.sources.targets import set_masks_aside, set_targets_aside
from pipeline.store import SPLITS
from pipeline.wording import counted, listed


class Arrange(Protocol):
    """Reads a listing off the paths of files: :func:`arrange`, or another with its arguments."""

    def __call__(
        self,
        paths: Sequence[str],
        where: str,
        head: Callable[[int], bytes] | None,
        passed: Mapping[str, int],
        lost: Iterable[tuple[str, str]],
        empty: Iterable[str],
        /,
    ) -> tuple[Listing, list[int]]:
        """See :func:`arrange`."""


def arrange(
    paths: Sequence[str],
    where: str,
    head: Callable[[int], bytes] | None = None,
    passed: Mapping[str, int] = MappingProxyType({}),
    lost: Iterable[tuple[str, str]] = (),
    empty: Iterable[str] = (),
) -> tuple[Listing, list[int]]:
    """Reads labels and splits off the paths of files; :func:`pipeline.sources.structure.read_structure` says how.

    Images are known by a suffix of :data:`pipeline.sources.kinds.SUFFIXES`, else by content. Hidden and system files,
    files that are no images, masks beside their images, and images outside a class folder are left out and counted.
    Where no folder speaks of a split and the name of every file does (``cat/train_01.png``), as the `datasets` library
    reads them, the names do.

    A class is called as its folder, in Unicode's composed form. Classes are numbered as torchvision's ``ImageFolder``
    numbers the folders of train, or of a set without splits: by their names as they lie there. A class that is spelled
    in two forms goes by the composed one.

    Args:
        paths: every file, relative to the source and with ``/``, in any order.
        where: the source, for messages.
        head: gives the first :data:`pipeline.sources.base.HEAD_BYTES` of a file, by its index; asked for files of
            other suffixes alone. It may raise :class:`pipeline.sources.base.BadImageError`.
        passed: how many files the source itself passed over, by reason.
        lost: further files that the source cannot give, each with the reason.
        empty: folders without any file.

    Returns:
        The listing, sorted by path, and for each of its images the index into ``paths``.

    Raises:
        UserError: no image is left, all are in one class, a class loses most of its files, or the folders can be read
            in two ways that give other labels.
    """
    files = sort_out(paths, head, lost)
    set_masks_aside(files)
    tree = Folder()
    for folder, count in Counter(file.folder for file in (*files.images, *files.missed)).items():
        tree.add(folder, count)
    notes = read_structure(tree, where)
    set_targets_aside(tree)
    place = cache(tree.find)
    ignored = Counter(passed) + passed_over(files, tree, place, sorted(f for f in empty if not covered(f)))
    kept = sorted(file for file in files.images if place(file.folder).label)
    spelled = _spelled([place(folder) for folder in {file.folder for file in kept}])
    check_losses(files, place, where)
    if len(spelled) < 2 or {name.lower() for name in spelled} <= NO_CLASSES:
        raise UserError(_too_few(list(spelled), len(paths), ignored, where))
    names = class_names(real_names(list(spelled), [file.name for file in kept], paths), where)
    number = {spelling: label for label, name in enumerate(spelled) for spelling in spelled[name]}
    labels = np.array([number[place(file.folder).label] for file in kept], np.int64)
    splits = np.array([place(file.folder).split for file in kept], np.int8)
    if (splits < 0).all() and (found := _splits_in_names([file.name for file in kept], labels)) is not None:
        splits = found
        notes.append("splits are read from the names of the files")
    notes += [*_spellings(spelled, names), *_alike(names, labels, splits, where)]
    listing = Listing([printable(f.name) for f in kept], labels, names, splits, None, ignored, tuple(notes))
    return listing, [file.number for file in kept]


def _spelled(places: Iterable[Place]) -> dict[str, list[str]]:
    """The spellings of each class, by its name in composed form, in the order of ``ImageFolder``."""
    everywhere: dict[str, set[str]] = defaultdict(set)
    in_train: dict[str, set[str]] = defaultdict(set)
    for at in places:
        everywhere[composed(at.label)].add(at.label)
        if at.split <= SPLITS.index("train"):
            in_train[composed(at.label)].add(at.label)

    def order(name: str) -> str:
        found = in_train[name] or everywhere[name]
        return next(iter(found)) if len(found) == 1 else name

    return {name: sorted(everywhere[name]) for name in sorted(everywhere, key=order)}


def _splits_in_names(names: list[str], labels: np.ndarray) -> np.ndarray | None:
    """The splits, int8 (N,), if every file is called by one, and they divide the classes; else None."""
    codes = np.empty(len(names), np.int8)
    for index, name in enumerate(names):
        split = split_of(name.rpartition("/")[2])
        if split is None:
            return None
        codes[index] = SPLITS.index(split)
    classes_of_one = all(len(np.unique(codes[labels == label])) < 2 for label in np.unique(labels))
    return None if classes_of_one or SPLITS.index("train") not in codes else codes


def _spellings(spelled: Mapping[str, list[str]], names: Sequence[str]) -> list[str]:
    """Notes on classes that are called otherwise than their folders."""
    merged = [name for name, spellings in spelled.items() if len(spellings) > 1]
    changed = [(folder, name) for folder, name in zip(spelled, names, strict=True) if folder != name]
    notes = [f"{listed(merged)}: folders in two forms of Unicode are read as one class"] if merged else []
    return notes + [f"the class of folder {folder!r} is called {name!r}" for folder, name in changed]


def _alike(names: Sequence[str], labels: np.ndarray, splits: np.ndarray, where: str) -> list[str]:
    """Notes on classes whose names look the same, or differ in case alone.

    Raises:
        UserError: no split holds both, so that they are one class in two spellings.
    """
    folded: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(names):
        folded[look_of(name)].append(label)
    notes = []
    for group in (labels_of for labels_of in folded.values() if len(labels_of) > 1):
        called = listed([names[label] for label in group])
        found = [code for label in group for code in np.unique(splits[labels == label]).tolist()]
        in_case = len({names[label].casefold() for label in group}) == 1
        how = "differ in case alone" if in_case else "differ in spaces, case, forms of letters or invisible signs alone"
        if len(set(found)) == len(found):
            raise UserError(
                f"{where}: the classes {called} {how} and never lie in the same split; give the folders of one class "
                "the same name in every split"
            )
        remedy = (
            ": on Windows and macOS they cannot lie side by side" if in_case else "; give them one name if they are one"
        )
        notes.append(f"the classes {called} {how}{remedy}")
    return notes


def _too_few(classes: list[str], files: int, ignored: Counter[str], where: str) -> str:
    expected = "expected at least two class folders with images, as <class>/<image> or train|val|test/<class>/<image>"
    if classes and {name.lower() for name in classes} <= NO_CLASSES:
        found = f"no classes but the parts of a set for detection or segmentation ({listed(classes)})"
    else:
        found = f"images of one class alone ({classes[0]!r})" if classes else "no image in a class folder"
    return f"{where}: {found} among {files:,} files ({counted(ignored) or 'none passed over'}); {expected}"
