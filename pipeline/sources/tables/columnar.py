"""A table of paths that is Parquet."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.sources.tables.columns import find_columns
from pipeline.sources.tables.facts import as_texts
from pipeline.sources.tables.features import check_words, is_whole
from pipeline.sources.tables.shards import read_batches, read_schema

ROWS_AT_ONCE = 1 << 14


class ParquetTable:
    """The columns that matter, as text; see :class:`pipeline.sources.tables.rows.PathTable`.

    Raises:
        UserError: not readable, or a column is missing or holds neither text nor numbers.
    """

    unit = "row"

    def __init__(self, path: Path, label: str = "") -> None:
        schema = read_schema(path)
        columns = find_columns(schema.names, path, label)
        self.path = path
        self.header = sorted(schema.names[position] for positions in columns.values() for position in positions)
        kinds = {name: check_words(schema, name, path) for name in self.header}
        self.numeric = is_whole(kinds[schema.names[columns["label"][0]]])

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows, counted from 1."""
        row = 0
        names = sorted(set(self.header))
        for batch in read_batches(self.path, names, ROWS_AT_ONCE):
            positions = [position for name in names for position in batch.schema.get_all_field_indices(name)]
            columns = [as_texts(batch.column(position)) for position in positions]
            for cells in zip(*columns, strict=True):
                row += 1
                yield row, list(cells)
