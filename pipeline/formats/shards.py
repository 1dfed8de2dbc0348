"""What the sharded formats have in common: shards lie in one folder, and are read one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.formats.base import Stored
from pipeline.formats.manifest import Row

DATA = "data"
ENDINGS = {"webdataset": "tar", "parquet": "parquet"}


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

    def own(self, rows: Iterable[Row]) -> dict[str, str]:  # noqa: ARG002  (see Reader)
        """Nothing: a shard is whole by itself."""
        return {}

    def folders(self) -> set[str]:
        """That of the shards."""
        return {DATA}

    @abstractmethod
    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one shard."""
