"""Parquet shards with Hugging Face's ``Image`` and ``ClassLabel`` features in the schema's metadata."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.columns import column, texts
from pipeline.errors import UserError
from pipeline.formats.base import Item, Stored, Written
from pipeline.formats.shards import DATA, ShardReader

ROWS_PER_GROUP = 128  # what a reader that wants one image has to fetch
IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


class ParquetWriter:
    """Writes ``<root>/data/<split>-<part>.parquet`` with the columns ``image`` (bytes and path) and ``label``.

    Args:
        root: the set's folder; made if need be.
        classes: class names; a label is an index into them.
        ending: of the images' files, without a dot.
    """

    def __init__(self, root: Path, classes: Sequence[str], ending: str) -> None:
        self.root = root
        self._schema, self._ending = schema(classes), ending
        (root / DATA).mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:
        """One shard a part; see :class:`pipeline.formats.base.Writer`."""
        file = f"{DATA}/{items[0].split}-{number:05d}.parquet"
        written, waiting = [], iter(items)
        # images are compressed already, and none comes twice
        with pq.ParquetWriter(self.root / file, self._schema, compression="none", use_dictionary=False) as shard:
            while group := list(islice(waiting, ROWS_PER_GROUP)):
                contents = [item.content for item in group]
                names = [f"{item.name}.{self._ending}" for item in group]
                images = pa.StructArray.from_arrays([column(contents, pa.binary()), texts(names)], fields=list(IMAGE))
                labels = column([item.label for item in group], pa.int64())
                shard.write_table(pa.Table.from_arrays([images, labels], schema=self._schema))
                written += [Written(file, hashlib.sha256(content).hexdigest()) for content in contents]
        return written

    def close(self) -> None:
        """Nothing is left to do: a shard is whole by itself."""


class ParquetReader(ShardReader):
    """Finds the images that :class:`ParquetWriter` wrote; see :class:`pipeline.formats.base.Reader`."""

    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one shard."""
        try:
            with pq.ParquetFile(self.root / file) as shard:
                for group in range(shard.num_row_groups):
                    for row in shard.read_row_group(group, columns=["image", "label"]).to_pylist():
                        image, label = row["image"], row["label"]
                        if not isinstance(image["bytes"], bytes) or not isinstance(label, int):
                            raise ValueError("a row without an image or a label")
                        yield Stored(file.as_posix(), Path(image["path"]).stem, label, image["bytes"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(f"{self.root / file}: not a shard that can be read ({error})") from None


def schema(classes: Sequence[str]) -> pa.Schema:
    """The columns of a shard, and what they mean to ``datasets.load_dataset``."""
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(classes)}}
    return pa.schema(
        [pa.field("image", IMAGE), pa.field("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
