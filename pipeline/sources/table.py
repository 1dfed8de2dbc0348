"""Images that a table lists: CSV or Parquet with ``path,label[,split,group]``, or a Hugging Face parquet set.

A Hugging Face set keeps the files' bytes in a column of structs (``image: {bytes, path}``), a ``label``, and the class
names in the schema's metadata; its shards are told apart by names such as ``train-00000-of-00002.parquet``.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.sources.base import (
    SPLIT_NAMES,
    BadImageError,
    Listing,
    Payload,
    Source,
    class_names,
    printable,
    read_file,
)
from pipeline.store import SPLITS

ROWS_AT_ONCE = 64


class FileTableSource:
    """A table of paths, which are relative to the table's own folder."""

    def __init__(self, path: Path) -> None:
        table = _read_table(path)
        columns = {name: _strings(table, name, path) for name in table.column_names}
        self._folder = path.parent
        rows = _filled_rows(columns, path)
        order = sorted(rows, key=lambda row: (columns["path"][row], row))
        labels = [columns["label"][row] for row in order]
        names = sorted(set(labels))
        number = {name: label for label, name in enumerate(names)}
        self._paths = [columns["path"][row] for row in order]
        self.listing = Listing(
            paths=[printable(name) for name in self._paths],
            labels=np.array([number[label] for label in labels], np.int64),
            classes=class_names(names, str(path)),
            splits=np.array([_split(columns.get("split"), row, path) for row in order], np.int8),
            groups=[columns["group"][row] for row in order] if "group" in columns else None,
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index, name in enumerate(self._paths):
            yield index, partial(read_file, self._folder / name)


class HuggingFaceSource:
    """Parquet shards that hold the images' bytes; read a few rows at a time."""

    def __init__(self, folder: Path, shards: list[Path]) -> None:
        self._shards = shards
        schemas = [_schema(shard) for shard in shards]
        self._column = _image_column(schemas[0], shards[0])
        names = _label_names(schemas[0])
        paths: list[str] = []
        splits: list[np.ndarray] = []
        labels: list[str | int] = []
        for shard, schema in zip(shards, schemas, strict=True):
            if not schema.equals(schemas[0]):
                raise UserError(f"{shard}: its columns are not those of {shards[0]}; keep one data set in a folder")
            values = _labels(shard)
            labels += values
            name = shard.relative_to(folder).as_posix()
            paths += [f"{name}#{row:08d}" for row in range(len(values))]
            splits.append(np.full(len(values), _shard_split(shard), np.int8))
        numbers, classes = _numbered(labels, names, str(shards[0]))
        self.listing = Listing([printable(path) for path in paths], numbers, classes, np.concatenate(splits))

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        index = 0
        for shard in self._shards:
            with pq.ParquetFile(shard, pre_buffer=False) as file:
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=[f"{self._column}.bytes"]):
                    for value in batch.column(0).field("bytes"):
                        yield index, partial(_bytes, value)
                        index += 1


def open_table(path: Path) -> Source:
    """The table at ``path``: a file, or the folder that holds one CSV, one table in Parquet, or Hugging Face shards.

    A folder is the better choice for a table of paths: DVC then sees a changed image, and not the table alone.

    Raises:
        UserError: nothing there, more than one table, or columns that are missing or of another kind.
    """
    if not path.exists():
        raise UserError(f"data.path: {path}: no such file or folder; source: table needs a CSV or Parquet table")
    if path.is_dir():
        tables = sorted(path.glob("*.csv")) or sorted(path.rglob("*.parquet"))
        if not tables:
            raise UserError(
                f"data.path: {path}: no .csv in this folder and no .parquet below it; name the table itself"
            )
    else:
        tables = [path]
    if tables[0].suffix.lower() == ".parquet" and _holds_images(_schema(tables[0])):
        return HuggingFaceSource(path if path.is_dir() else path.parent, tables)
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:3])
        raise UserError(f"data.path: {path}: {len(tables)} tables of paths here ({names}, …); name one of them")
    return FileTableSource(tables[0])


def _read_table(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
        else:
            with path.open("rb") as file:
                header = pyarrow.csv.open_csv(file).schema.names
            texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), null_values=[""])
            table = pyarrow.csv.read_csv(path, convert_options=texts)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"data.path: {path}: not readable as a table ({error})") from None
    if missing := [name for name in ("path", "label") if name not in table.column_names]:
        raise UserError(
            f"data.path: {path}: no column {missing[0]!r} (found: {', '.join(table.column_names)}); a table needs "
            "path,label and may have split,group; or, in Parquet, a column of images with their bytes"
        )
    return table.select([name for name in ("path", "label", "split", "group") if name in table.column_names])


def _strings(table: pa.Table, name: str, path: Path) -> list[str]:
    try:
        return pc.fill_null(table.column(name).cast(pa.string()), "").to_pylist()
    except pa.ArrowException as error:
        raise UserError(f"data.path: {path}: column {name!r} is neither text nor numbers ({error})") from None


def _filled_rows(columns: dict[str, list[str]], path: Path) -> range:
    for name in ("path", "label"):
        if "" in columns[name]:
            row = columns[name].index("")
            raise UserError(f"data.path: {path}: row {row + 1} has no {name}; fill it in or take the row out")
    if not columns["path"]:
        raise UserError(f"data.path: {path}: the table has no rows")
    return range(len(columns["path"]))


def _split(column: list[str] | None, row: int, path: Path) -> int:
    name = column[row].strip().lower() if column else ""
    if not name:
        return -1
    if name not in SPLIT_NAMES:
        raise UserError(f"data.path: {path}: row {row + 1}: split {name!r}; expected train, val, test or nothing")
    return SPLITS.index(SPLIT_NAMES[name])


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"data.path: {path}: not readable as Parquet ({error})") from None


def _holds_images(schema: pa.Schema) -> bool:
    return any(_is_image(field) for field in schema)


def _is_image(field: pa.Field) -> bool:
    return pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0


def _image_column(schema: pa.Schema, path: Path) -> str:
    images = [field.name for field in schema if _is_image(field)]
    if len(images) > 1:
        raise UserError(f"{path}: {len(images)} columns of images ({', '.join(images)}); keep one")
    if "label" not in schema.names:
        raise UserError(
            f"{path}: no column 'label' (found: {', '.join(schema.names)}); rename the column of the classes"
        )
    return images[0]


def _label_names(schema: pa.Schema) -> list[str] | None:
    """The class names that the `datasets` library keeps in the schema's metadata, if they are there."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features["label"]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _labels(shard: Path) -> list[str | int]:
    column = pq.read_table(shard, columns=["label"]).column("label")
    whole = pa.types.is_integer(column.type)
    if not (whole or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise UserError(f"{shard}: column 'label' is {column.type}; expected whole numbers or text")
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise UserError(f"{shard}: row {row + 1} has no label; fill it in or take the row out")
    return column.to_pylist()


def _numbered(labels: list[Any], names: list[str] | None, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if names is not None and labels and isinstance(labels[0], int):
        numbers = np.array(labels, np.int64)
        if numbers.min() < 0 or numbers.max() >= len(names):
            raise UserError(f"{where}: labels from {numbers.min()} to {numbers.max()} for {len(names)} class names")
        return numbers, class_names(names, where)
    found = sorted(set(labels))
    number = {value: label for label, value in enumerate(found)}
    return np.array([number[label] for label in labels], np.int64), class_names([str(name) for name in found], where)


def _shard_split(shard: Path) -> int:
    word = re.match(r"[a-z]+", shard.stem.lower())
    name = SPLIT_NAMES.get(word.group()) if word else None
    return SPLITS.index(name) if name else -1


def _bytes(value: pa.Scalar) -> bytes:
    data = value.as_py()
    if data is None:
        raise BadImageError("no bytes in the table")
    return data
