"""What the sharded formats have in common: shards lie in one folder, and are read one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from pipeline.formats.base import Stored

DATA = "data"


class ShardReader(ABC):
    """Finds the images in a folder of shards; see :class:`pipeline.formats.base.Reader`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __iter__(self) -> Iterator[Stored]:
        """Every image, shard by shard."""
        for file in self.files():
            yield from self.read(file)

    def files(self) -> Iterator[Path]:
        """Every file in the folder of shards."""
        return iter(sorted(path.relative_to(self.root) for path in (self.root / DATA).rglob("*") if path.is_file()))

    @abstractmethod
    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one shard."""
