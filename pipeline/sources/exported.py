"""Image folders that augmint itself exported, read again: a folder's name may stand for another class name there."""

import re
from collections.abc import Sequence

from pipeline.formats.names import class_name

METADATA = "metadata.jsonl"
_IMAGE = re.compile(r"(.*/)?[^/]+/(synthetic-[0-9]+|real(train|val|test))-[0-9]{6,}\.(png|jpg|webp)")


def real_names(folders: Sequence[str], images: Sequence[str], files: Sequence[str]) -> list[str]:
    """The class of each folder: as it is called, unless the set is surely one that ``augmint export`` wrote.

    That is so where every image is called as export calls them, and the metadata that it writes lies beside the class
    folders. A user's own folder is never taken for an encoded name.

    Args:
        folders: of the classes.
        images: paths of all images, each in its class's folder.
        files: paths of all files.
    """
    roots: set[str] = set()
    for image in images:
        if not (found := _IMAGE.fullmatch(image)):
            return list(folders)
        roots.add(found[1] or "")
    exported = {f"{root}{METADATA}" for root in roots} <= set(files)
    return [class_name(folder) if exported else folder for folder in folders]
