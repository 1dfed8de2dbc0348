"""Masks and other targets of segmentation and detection that lie beside the images: they are no images of a class."""

import re

from pipeline.sources.sorting import File, Files
from pipeline.sources.structure import IMAGE_FOLDERS, TARGET_FOLDERS, Folder, Place

NAMED_MASK = re.compile(
    r"(.*[^-_. ])[-_. ]+(?:masks?|seg|segmentation|gt|ground[-_ ]?truth)(?:[-_. ]*\d+)?", re.IGNORECASE | re.DOTALL
)
"""What the mask of an image is called: ``scan 7_mask``, ``scan 7_mask_1``, ``ISIC_0000012_segmentation``."""

REASON = "masks, called as an image beside them"


def set_masks_aside(files: Files) -> None:
    """Takes images such as ``a/7_mask.png`` out of ``files``, where there is an ``a/7.jpg``."""
    marked = {file: name[1] for file in files.images if (name := NAMED_MASK.fullmatch(_stem(file)))}
    if not marked:
        return
    known = {(file.folder, _stem(file)) for file in files.images}
    masks = {file for file, image in marked.items() if (file.folder, image) in known}
    files.images = [file for file in files.images if file not in masks]
    for file in masks:
        files.aside[REASON, file.folder] += 1


def set_targets_aside(folder: Folder, in_class: bool = False) -> None:
    """Gives folders such as ``a/masks`` beside ``a/images`` their place outside the class ``a``, anywhere in a tree.

    Args:
        folder: of the tree that :func:`pipeline.sources.structure.read_structure` has read.
        in_class: what lies in it belongs to a class, unless it says otherwise.
    """
    in_class = bool(folder.place.label) if folder.place else in_class
    images = [name for name in folder.folders if name.lower() in IMAGE_FOLDERS]
    for name, inner in folder.folders.items():
        if in_class and images and name.lower() in TARGET_FOLDERS and inner.place is None:
            inner.place = Place(reason=f"in {name!r} beside {min(images)!r}")
        else:
            set_targets_aside(inner, in_class)


def _stem(file: File) -> str:
    base = file.name.rpartition("/")[2]
    return base.rpartition(".")[0] or base
