"""``manifest.parquet``: one row an image of an exported set, in a fixed order."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("label_index", pa.int32(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("synthetic", pa.bool_(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("generator", pa.string()),
        pa.field("augmint", pa.string(), nullable=False),
    ]
)
ROWS_PER_GROUP = 16384


@dataclass(frozen=True, slots=True)
class Row:
    """One image.

    Attributes:
        file: path relative to the manifest, with forward slashes.
        sha256: of the file, 64 hex digits.
        label: class name.
        label_index: the class's number in the ingested set.
        index: number within the class, for :meth:`gan.sampler.Sampler.draw`; of a real image, its row in the train
            split.
        synthetic: made by the generator, or real.
        seed: what the sampler was given; none for a real image.
        generator: SHA-256 of the generator's weights; none for a real image.
        augmint: the version that wrote it.
    """

    file: str
    sha256: str
    label: str
    label_index: int
    index: int
    synthetic: bool
    seed: int | None
    generator: str | None
    augmint: str


class ManifestWriter:
    """Writes rows in groups of :data:`ROWS_PER_GROUP`, so that memory stays flat whatever their number is."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA)
        self._rows: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush(self._rows)
        self._writer.close()

    def extend(self, rows: Iterable[Row]) -> None:
        """Appends rows, in their order."""
        self._rows.extend(rows)
        while len(self._rows) >= ROWS_PER_GROUP:
            self._flush(self._rows[:ROWS_PER_GROUP])
            del self._rows[:ROWS_PER_GROUP]

    def _flush(self, rows: list[Row]) -> None:
        if rows:
            columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in SCHEMA]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
