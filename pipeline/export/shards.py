"""Shards against what the writer of their format makes of the images in them: nothing more, and nothing otherwise."""

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gan.files import sha256
from pipeline.errors import UserError
from pipeline.formats.manifest import About
from pipeline.formats.parquet import ROWS_PER_GROUP, schema
from pipeline.formats.webdataset import WebDatasetReader, add_image


def foreign(root: Path, file: Path, about: About) -> str | None:
    """What a shard holds beside its images and their labels, in words; None if nothing.

    A reader of the format would find it, though the manifest knows nothing of it: further members of a tar, other names
    of the classes in a table's schema, other columns.

    Args:
        root: the set's folder.
        file: of the shard, relative to it.
        about: what the manifest says of the whole set.

    Raises:
        UserError: the shard cannot be read.
    """
    checks: dict[str, Callable[[Path, Path, About], str | None]] = {"webdataset": _tar, "parquet": _table}
    return checks[about.format](root, file, about)


class _Digest:
    """A file of which only the SHA-256 is kept."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return len(data)


def _tar(root: Path, file: Path, about: About) -> str | None:
    """A tar is written again, byte by byte."""
    again = _Digest()
    with tarfile.open(fileobj=again, mode="w|", format=tarfile.USTAR_FORMAT) as shard:  # type: ignore[call-overload]
        for image in WebDatasetReader(root).read(file):
            add_image(shard, image.name, about.encoding.extension, image.data, image.label)
    if again.sha256.hexdigest() == sha256(root / file):
        return None
    return "holds more than its images and labels, or these in another form"


def _table(root: Path, file: Path, about: About) -> str | None:
    """The bytes of a table depend on who wrote it; its schema, class names included, and its paths do not."""
    try:
        with pq.ParquetFile(root / file) as shard:
            if not shard.schema_arrow.equals(schema(about.classes), check_metadata=True):
                return "other columns, or other names of the classes, than the manifest"
            batches = shard.iter_batches(ROWS_PER_GROUP, columns=["image.path"])
            paths = [row["image"]["path"] for batch in batches for row in batch.to_pylist()]
            strange = [path for path in paths if path != f"{Path(path).stem}.{about.encoding.extension}"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise UserError(f"{root / file}: not a shard that can be read ({error})") from None
    return f"an image is called {strange[0]!r}" if strange else None
