"""Labels and splits out of file paths: ``<class>/…`` or ``train|val|test/<class>/…``, at any depth below the class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.base import SPLIT_NAMES, Listing, class_names, printable
from pipeline.sources.exported import real_names
from pipeline.store import SPLITS

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def arrange(paths: Sequence[str], where: str) -> tuple[Listing, list[int]]:
    """Reads labels and splits off the paths of files.

    Hidden files, macOS resource forks, files that are no images by their suffix, and images outside a class folder
    are left out and counted. One folder around everything is seen through.

    Args:
        paths: every file, relative to the source and with ``/``, in any order.
        where: the source, for messages.

    Returns:
        The listing, sorted by path, and for each of its images the index into ``paths``.

    Raises:
        UserError: no image is left, or all are in one class.
    """
    ignored: Counter[str] = Counter()
    names = ["/".join(part for part in path.split("/") if part not in ("", ".")) for path in paths]  # tar's ./a/b
    files = [(index, name.split("/")) for index, name in enumerate(names) if _is_image(name, ignored)]
    files = _unwrapped(files)
    in_splits = bool(files) and all(len(parts) < 2 or parts[0].lower() in SPLIT_NAMES for _, parts in files)
    depth = 1 if in_splits else 0
    kept = [(names[index], index, parts) for index, parts in files if len(parts) > depth + 1]
    kept.sort(key=lambda entry: (entry[0], entry[1]))
    if outside := len(files) - len(kept):
        ignored["outside a class folder"] = outside
    folders = sorted({parts[depth] for _, _, parts in kept})
    if len(folders) < 2:
        raise UserError(_too_few(folders, len(paths), ignored, where))
    number = {folder: label for label, folder in enumerate(folders)}
    splits = [SPLITS.index(SPLIT_NAMES[parts[0].lower()]) if in_splits else -1 for _, _, parts in kept]
    listing = Listing(
        paths=[printable(path) for path, _, _ in kept],
        labels=np.array([number[parts[depth]] for _, _, parts in kept], np.int64),
        classes=class_names(real_names(folders, [path for path, _, _ in kept], names), where),
        splits=np.array(splits, np.int8),
        ignored=ignored,
    )
    return listing, [index for _, index, _ in kept]


def _is_image(path: str, ignored: Counter[str]) -> bool:
    parts = path.split("/")
    if "__MACOSX" in parts or any(part.startswith(".") for part in parts):
        ignored["hidden"] += 1
        return False
    if not path.lower().endswith(SUFFIXES):
        ignored["not an image"] += 1
        return False
    return True


def _unwrapped(files: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Takes off the folders that hold everything, unless what is inside them are images: then they are classes."""
    while files:
        tops = {parts[0] for _, parts in files if len(parts) > 1}
        deep = any(len(parts) > 2 for _, parts in files)
        if len(tops) != 1 or not deep or next(iter(tops)).lower() in SPLIT_NAMES:
            break
        files = [(index, parts[1:]) for index, parts in files if len(parts) > 1]
    return files


def _too_few(folders: list[str], files: int, ignored: Counter[str], where: str) -> str:
    passed = ", ".join(f"{count} {reason}" for reason, count in sorted(ignored.items())) or "none passed over"
    found = f"images of one class alone ({folders[0]!r})" if folders else "no image in a class folder"
    return (
        f"{where}: {found} among {files} files ({passed}); expected at least two class folders with images "
        f"({', '.join(SUFFIXES)}), as <class>/<image> or train|val|test/<class>/<image>"
    )
