"""``manifest.parquet``: one row an image of the source, kept or not."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.columns import numbers, texts
from pipeline.ingest.reading import Records
from pipeline.ingest.selection import Selection
from pipeline.sources import Listing
from pipeline.store import SPLITS

ROWS_AT_ONCE = 1 << 16
SPLIT_WORDS = (*SPLITS, "thinned")

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
    ]
)


def write_manifest(path: Path, listing: Listing, records: Records, chosen: Selection) -> None:
    """Writes the columns of :data:`SCHEMA`.

    ``group`` is null for an image that stands alone, else the path of the first image of its group. ``width`` and
    ``height`` are null for a bad image, ``row`` for one that is not in the store. ``reason`` says why an image was left
    out, and is null for all others.
    """
    alone = np.bincount(chosen.groups) == 1
    _, first = np.unique(chosen.groups, return_index=True)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(listing), ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, len(listing)))
            part = slice(rows.start, rows.stop)
            bad = records.width[part] == 0
            groups = chosen.groups[part].tolist()
            columns = [
                texts(listing.paths[part]),
                texts(_hexadecimal(records.sha256[part])),
                numbers(records.width[part], bad),
                numbers(records.height[part], bad),
                texts([listing.classes[label] for label in listing.labels[part].tolist()]),
                texts([SPLIT_WORDS[split] if split >= 0 else None for split in chosen.splits[part].tolist()]),
                texts([None if alone[group] else listing.paths[first[group]] for group in groups]),
                numbers(chosen.rows[part], chosen.rows[part] < 0),
                texts([chosen.reasons.get(row) for row in rows]),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


def _hexadecimal(digests: np.ndarray) -> list[str | None]:
    """What uint8 (n, 32) says; nothing for a file that could not be read, whose digest is all zeros."""
    text, width = digests.tobytes().hex(), 2 * digests.shape[1]
    read = np.any(digests, axis=1)
    return [text[width * row : width * (row + 1)] if found else None for row, found in enumerate(read.tolist())]
