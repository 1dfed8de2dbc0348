"""Reads Parquet and Arrow files, a few rows at a time; every trouble with one becomes a sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError

SUFFIXES = (".parquet", ".arrow")
ROWS_AT_ONCE = 64
TROUBLE = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError)
ARROW_FILE = b"ARROW1"
"""The first bytes of Arrow's format for files; `datasets` writes the one for streams, which has no mark."""
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""The last bytes of a stream; without them it may have been cut between two batches."""


def is_shard(name: str) -> bool:
    """Whether a file is Parquet or Arrow by its name."""
    return name.lower().endswith(SUFFIXES)


def read_schema(path: Path) -> pa.Schema:
    """The columns of a file and their metadata.

    Raises:
        UserError: not readable.
    """
    with _reading(path):
        if _is_arrow(path):
            with pa.memory_map(str(path)) as file, _arrow(file) as reader:
                schema = reader.schema
        else:
            schema = pq.read_schema(path)
        schema.names  # noqa: B018 (decodes them: damaged ones are no text)
        return schema


def count_rows(path: Path) -> int:
    """The number of rows of a file.

    Raises:
        UserError: not readable.
    """
    with _reading(path):
        if not _is_arrow(path):
            return int(pq.read_metadata(path).num_rows)
        with pa.memory_map(str(path)) as file, _arrow(file) as reader:
            return sum(batch.num_rows for batch in _batches(reader))


def read_batches(path: Path, columns: Sequence[str], rows: int = ROWS_AT_ONCE) -> Iterator[pa.RecordBatch]:
    """Some columns of a file in its own order of columns, at most ``rows`` rows at a time.

    Raises:
        UserError: not readable, now or further on.
    """
    with _reading(path):
        if not _is_arrow(path):
            with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as shard:
                # prefixes would do as names of columns, so that `image` stands for image.bytes and image.path
                for batch in shard.iter_batches(rows, columns=list(columns)):
                    batch.validate(full=True)
                    yield batch
            return
        with pa.memory_map(str(path)) as file, _arrow(file) as reader:
            for batch in _batches(reader):
                part = batch.select(list(columns))
                part.validate(full=True)
                yield from (part.slice(start, rows) for start in range(0, part.num_rows, rows))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except TROUBLE as error:
        kind = "Arrow" if _is_arrow(path) else "Parquet"
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"data.path: {path}: not readable as {kind} ({detail}); write or fetch it again") from None


def _is_arrow(path: Path) -> bool:
    return path.suffix.lower() == ".arrow"


@contextmanager
def _arrow(file: pa.NativeFile) -> Iterator[pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader]:
    is_file = file.read(len(ARROW_FILE)) == ARROW_FILE
    if not is_file:
        file.seek(max(0, file.size() - len(END_OF_STREAM)))
        if file.read() != END_OF_STREAM:
            raise ValueError("it was cut short: its end is missing")
    file.seek(0)
    with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file) as reader:
        yield reader


def _batches(reader: pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)
