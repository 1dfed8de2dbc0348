"""What the folders of a set mean: splits, classes, or neither; read from all of them at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from pipeline.errors import UserError
from pipeline.sources.base import SPLIT_NAMES, composed, split_of
from pipeline.store import SPLITS
from pipeline.wording import NAMED, listed

OUTSIDE = "outside a class folder"
IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "jpegimages"})
TARGET_FOLDERS = frozenset(
    {"label", "labels", "mask", "masks", "annotation", "annotations", "gt", "ground_truth", "groundtruth"}
    | {"segmentation", "segmentations", "bbox", "bboxes", "depth", "xml"}
)
NO_CLASSES = IMAGE_FOLDERS | TARGET_FOLDERS
"""Folders of inputs and targets in sets for detection or segmentation, in lower case."""


@dataclass(frozen=True)
class Place:
    """What lies in one folder and below it: images of ``label`` (in ``split``, -1 for none), or of no class."""

    label: str = ""
    split: int = -1
    reason: str = ""


@dataclass
class Folder:
    """One folder of the tree: how many files lie in it, directly and in all, its folders, and what it means."""

    files: int = 0
    total: int = 0
    folders: dict[str, "Folder"] = field(default_factory=dict)
    place: Place | None = None

    def add(self, path: str, files: int) -> None:
        """Adds ``files`` files that lie directly in the folder ``path``, relative to this one."""
        self.total += files
        folder = self
        for name in path.split("/") if path else ():
            folder = folder.folders.setdefault(name, Folder())
            folder.total += files
        folder.files += files

    def beyond(self, path: str) -> str:
        """The first folder on the way to ``path`` that is not in the tree; ``""`` if all are."""
        folder, names = self, path.split("/") if path else []
        for depth, name in enumerate(names):
            if name not in folder.folders:
                return "/".join(names[: depth + 1])
            folder = folder.folders[name]
        return ""

    def find(self, path: str) -> Place:
        """What the folder at ``path`` means: as its nearest folder above says that means anything."""
        folder, place = self, self.place or Place(reason=OUTSIDE)
        for name in path.split("/") if path else ():
            folder = folder.folders[name]
            place = folder.place or place
        return place


def read_structure(root: Folder, where: str) -> list[str]:
    """Gives every folder of the tree its place.

    Read are ``<class>/…``, ``<split>/<class>/…`` with other folders beside the splits, and ``<class>/<split>/…``, in
    any number of folders around them.

    Returns:
        Notes on how it was read.

    Raises:
        UserError: the tree can be read in two ways that give other labels.
    """
    node = root
    while (notes := _in_splits(node, where)) is None:
        inner = next(iter(node.folders.values()), None)
        # what holds more images than its folders do is a class
        if inner is None or len(node.folders) > 1 or not _holds_classes(inner):
            break
        node = inner
    if notes is not None:
        return notes
    for way in (_splits_below_classes, _set_in_a_folder):
        if (notes := way(node, where)) is not None:
            return notes
    return _classes(node, where)


# -- <split>/<class>/… ------------------------------------------------------------------------------------------------


def _in_splits(node: Folder, where: str) -> list[str] | None:
    """Reads the folders of ``node`` as splits, or gives None if they are none."""
    splits = {name: split for name in node.folders if (split := split_of(name))}
    if not splits:
        return None
    holders = _holders(node, splits)
    others = sorted(set(node.folders) - set(splits))
    exact = {name for name in splits if name.lower() in SPLIT_NAMES}
    distinct = set(splits.values())
    labelled = {splits[name] for name in holders}
    if len(distinct) == 1 and holders:
        if others or (not exact and len(splits) > 1):
            raise UserError(_split_or_class(where, holders, others))
        if not exact:
            return None  # a folder around everything that happens to be called my_test_set
    elif "train" in distinct - labelled or not holders:
        if len({splits[name] for name in exact}) > 1 or holders or (len(distinct) > 1 and not others):
            raise UserError(_unlabelled(where, sorted(set(splits) - set(holders))))
        return None
    _check_agreement(node, holders, splits, exact, where)
    for name, split in splits.items():
        node.folders[name].place = Place(reason=f"in {name!r} without a class folder")
        for label, folder in holders[name].folders.items() if name in holders else ():
            folder.place = Place(label, SPLITS.index(split))
    _set_aside(node, others, "beside the split folders")
    return [*_pooled(splits), *_drawn_instead(splits, labelled)]


def _holders(node: Folder, splits: Mapping[str, str]) -> dict[str, Folder]:
    """By the names of the split folders that have any, the folders that hold their class folders.

    That is the split folder itself, or where that gives one class or classes without anything in common, the one in it
    as in ``seg_train/seg_train/<class>`` or ``train/images/<class>``.
    """
    found = {name: node.folders[name] for name in splits if _holds_classes(node.folders[name])}
    labels = set().union(*map(_labels, found.values()))
    if len(labels) < 2 or _strangers(found, splits):
        found = {name: _class_root(folder) for name, folder in found.items()}
    # asl_test/asl_test/<image>: one folder in another, and still no class
    return {name: folder for name, folder in found.items() if any(split_of(o) != splits[name] for o in folder.folders)}


def _holds_classes(folder: Folder) -> bool:
    return bool(folder.folders) and folder.files <= folder.total - folder.files


def _class_root(folder: Folder) -> Folder:
    inner = _inmost(folder)
    return folder if inner.files or len(inner.folders) < 2 else inner


def _inmost(folder: Folder) -> Folder:
    """The first folder on the way down that holds more than another folder."""
    while len(folder.folders) == 1 and not folder.files:
        (folder,) = folder.folders.values()
    return folder


def _labels(folder: Folder) -> set[str]:
    """The names of the class folders in ``folder``, to compare with those of others."""
    return {composed(label).casefold() for label in folder.folders}


def _strangers(holders: Mapping[str, Folder], splits: Mapping[str, str]) -> list[str]:
    """Holders of a split that have no class in common with those of other splits."""
    alone = []
    for name in sorted(holders):
        elsewhere = [_labels(folder) for other, folder in holders.items() if splits[other] != splits[name]]
        if elsewhere and not _labels(holders[name]) & set().union(*elsewhere):
            alone.append(name)
    return alone


def _check_agreement(
    node: Folder, holders: Mapping[str, Folder], splits: Mapping[str, str], exact: set[str], where: str
) -> None:
    """Folders are splits of one set where the same classes lie in them."""
    others = sorted(set(node.folders) - set(splits))
    if _strangers(holders, splits):
        raise UserError(_split_or_class(where, holders, others))
    known = set().union(*map(_labels, holders.values()))
    alike = [name for name in others if known & _labels(node.folders[name])]
    if alike and len({splits[name] for name in exact}) < 2:
        raise UserError(_split_or_class(where, holders, alike))


def _pooled(splits: Mapping[str, str]) -> list[str]:
    """Notes on splits that several folders make up."""
    parts = {split: sorted(name for name in splits if splits[name] == split) for split in splits.values()}
    return [f"{listed(names)} are read as {split}" for split, names in sorted(parts.items()) if len(names) > 1]


def _drawn_instead(splits: Mapping[str, str], labelled: Set[str]) -> list[str]:
    return [
        f"{name!r} holds no class folders: its images have no labels, and {split} is drawn from the others"
        for name, split in sorted(splits.items())
        if split not in labelled
    ]


def _unlabelled(where: str, names: list[str]) -> str:
    return (
        f"{where}: what is called like a split ({listed(names)}) holds images and no class folders, so that their "
        "labels are unknown; sort the images into <split>/<class>/, or list them in a table of path,label,split "
        "(source: table); if these are classes, rename the folders"
    )


def _split_or_class(where: str, holders: Mapping[str, Folder], others: list[str]) -> str:
    names = sorted(holders)
    inside = "; ".join(f"{name!r} holds {listed(sorted(holders[name].folders))}" for name in names[:NAMED])
    beside = f", and {listed(others)} beside" if others else ""
    are = "are splits" if len(names) > 1 else "is a split"
    return (
        f"{where}: two readings. (1) {listed(names)} {are} ({inside}{beside}). (2) {listed([*names, *others])} are "
        "classes. For (1) call the folders train, val and test, give them the same class folders, and move what is "
        "beside them away, or set data.path to the one that is the set; for (2) rename what is called like a split"
    )


# -- <class>/<split>/… ------------------------------------------------------------------------------------------------


def _splits_below_classes(node: Folder, where: str) -> list[str] | None:
    inner = {name: {split_of(part) for part in folder.folders} for name, folder in node.folders.items()}
    found = set().union(*inner.values()) - {None} if inner else set()
    sure = sorted(name for name, folder in node.folders.items() if _is_split_set(folder))
    split = sorted(name for name, parts in inner.items() if len(parts - {None}) > 1 and name not in sure)
    if len(sure) > 1:
        raise UserError(
            f"{where}: {listed(sure)} each hold a set with splits of its own (two readings: sets side by side, "
            "or classes whose images are split); set data.path to one of them"
        )
    if sure or not split:
        return None
    if len(found) < 2 or any(
        folder.files or not folder.folders or None in inner[name] for name, folder in node.folders.items()
    ):
        raise UserError(
            f"{where}: two readings. (1) The images of a class are split by the folders in it, as in "
            f"{split[0]!r} ({listed(sorted(node.folders[split[0]].folders))}), and others are in no split. (2) Folders "
            "in a class mean nothing. For (1) put every image into <split>/<class>/; for (2) rename the folders "
            "that are called like splits"
        )
    for label, folder in node.folders.items():
        for name, part in folder.folders.items():
            part.place = Place(label, SPLITS.index(split_of(name) or "train"))
    return ["splits are read from the folders below the classes"]


def _is_split_set(folder: Folder) -> bool:
    """Whether ``folder`` surely holds a set in splits: two of them at least, with the same classes."""
    folder = _inmost(folder)
    splits = {name: split for name in folder.folders if (split := split_of(name))}
    holders = _holders(folder, splits)
    return len({splits[name] for name in holders}) > 1 and not _strangers(holders, splits)


# -- a set in one of several folders, and no splits -------------------------------------------------------------------


def _set_in_a_folder(node: Folder, where: str) -> list[str] | None:
    """A set in splits inside one folder of several, which the others cannot be classes beside."""
    sure = [name for name, folder in node.folders.items() if _is_split_set(folder)]
    if not sure:
        return None
    _set_aside(node, [name for name in node.folders if name not in sure], f"beside {sure[0]!r}, which holds the splits")
    return read_structure(node.folders[sure[0]], where)


def _classes(node: Folder, where: str) -> list[str]:
    for name, folder in node.folders.items():
        folder.place = Place(name)
    for name in _copies(node, where):
        node.folders[name].place = Place(reason=f"in {name!r}, a second copy of the classes beside it")
    called_split = [
        f"{name!r} is read as a class: it holds images and no class folders"
        for name in sorted(node.folders)
        if name.lower() in SPLIT_NAMES and len(node.folders) > 1
    ]
    return [*called_split, *_crossed(node)]


def _crossed(node: Folder) -> list[str]:
    """A note where the classes hold one another's folders, as in ``<fold>/<class>`` and ``<patient>/<class>``."""
    tops = {name: folder for name, folder in node.folders.items() if folder.place and folder.place.label}
    inside = Counter(inner for folder in tops.values() for inner in _labels(folder))
    if len(tops) < 2 or len(inside) < 2 or min(inside.values()) < 2 or any(folder.files for folder in tops.values()):
        return []
    if inside.keys() <= NO_CLASSES:
        return []
    inner = {composed(name) for folder in tops.values() for name in folder.folders}
    return [
        f"{listed(sorted(tops))} are read as the classes, and hold folders of the same names "
        f"({listed(sorted(inner))}): if those are the classes, sort the images into <class>/, or list them in a table "
        "of path,label (source: table)"
    ]


def _copies(node: Folder, where: str) -> Iterator[str]:
    """Folders that hold the classes beside them once more."""
    for name, folder in sorted(node.folders.items()):
        inside = sorted(folder.folders)
        if folder.files or len(inside) < 2 or name in inside or not folder.folders.keys() <= node.folders.keys():
            continue
        if any(folder.folders[label].total != node.folders[label].total for label in inside):
            raise UserError(
                f"{where}: {name!r} holds {listed(inside)}, which also lie beside it, with other files (two readings: "
                f"a class, or more images of those classes); move its folders' images into those beside it, move it "
                "away, or set data.path to it"
            )
        yield name


def _set_aside(node: Folder, names: list[str], why: str) -> None:
    rest = node.total - node.files - sum(node.folders[name].total for name in names)
    for name in names:
        folder = node.folders[name]
        what = ", a second copy of the splits" if folder.total == rest else ", a set with splits of its own"
        node.folders[name].place = Place(reason=f"in {name!r}{what if _is_split_set(folder) else ''}, {why}")
