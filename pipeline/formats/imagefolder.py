"""The image-folder layout, one folder a class, as ``torchvision.datasets.ImageFolder`` and many others read it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.formats import png
from pipeline.formats.base import Item, Written
from pipeline.formats.names import folder_names


class ImageFolder:
    """Writes ``<root>/images/<class>/<name>.png``.

    Every class has its folder, also one that gets no image: a reader numbers the classes by their sorted folders, and
    a missing one would shift all labels after it without a word. (torchvision reads an empty one with
    ``allow_empty=True``.) Such a folder holds an empty hidden file, as git and DVC keep no empty folders.

    Args:
        root: the set's folder; made if need be.
        classes: class names; a label is an index into them. Names that file systems dislike are percent-encoded.

    Raises:
        UserError: a class name that cannot be a folder's (see :func:`pipeline.formats.names.folder_names`).
    """

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self.root = root
        self._folders = [f"images/{name}" for name in folder_names(classes)]
        for folder in self._folders:
            (root / folder).mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:  # noqa: ARG002
        """Writes the images of one part."""
        return [Written(*self.add(item.name, item.label, item.image, item.xmp)) for item in items]

    def add(self, name: str, label: int, image: np.ndarray, xmp: str | None = None) -> tuple[str, str]:
        """Writes one image; safe to call from several threads.

        Args:
            name: the file's name without its ending, unique within the class.
            label: index of the class.
            image: uint8 (C, H, W).
            xmp: an XMP packet to carry.

        Returns:
            The file's path relative to the root, with forward slashes, and its SHA-256 as 64 hex digits.
        """
        content = png.encode(image, xmp)
        file = f"{self._folders[label]}/{name}.png"
        (self.root / file).write_bytes(content)
        return file, hashlib.sha256(content).hexdigest()

    def close(self) -> None:
        """Marks the folders that got no image."""
        for folder in self._folders:
            if not any((self.root / folder).iterdir()):
                (self.root / folder / ".keep").touch()
