"""``manifest.parquet``: one row an image of an exported set, in a fixed order, and what is true of the whole set."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from gan.files import regular
from pipeline.columns import column
from pipeline.errors import UserError
from pipeline.formats.encoding import Encoding
from pipeline.reading.documents import again, fault

MANIFEST = "manifest.parquet"
ABOUT = b"augmint"  # key of the schema's metadata that holds an About as JSON
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("label_index", pa.int32(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("synthetic", pa.bool_(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("generator", pa.string()),
        pa.field("params", pa.string(), nullable=False),
        pa.field("critic_score", pa.float64()),
        pa.field("label_confidence", pa.float64()),
        pa.field("nearest_train", pa.float64()),
        pa.field("filters", pa.list_(pa.field("element", pa.string(), nullable=False))),
        pa.field("augmint", pa.string(), nullable=False),
    ]
)
ROWS_PER_GROUP = 16384
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image.

    Attributes:
        file: the file, or the shard, that holds it: path relative to the manifest, with forward slashes.
        name: unique in the set; in a shard it finds the image.
        sha256: of the encoded image, 64 hex digits.
        split: ``train``, ``val`` or ``test``.
        label: class name.
        label_index: the class's number in the ingested set.
        index: number within the class, for :meth:`gan.sampler.Sampler.draw`; of a real image, its row in its split.
        synthetic: made by the generator, or real.
        seed: what the sampler was given; none for a real image.
        generator: SHA-256 of the generator's weights; none for a real image.
        params: see :func:`pipeline.provenance.params_hash`.
        critic_score: the critic's score of it.
        label_confidence: probability that the filters' classifier gives its label.
        nearest_train: distance to the nearest image of the train split, in pixels.
        filters: names of the filters that it passed; none for a real image.
        augmint: the version that wrote it.

    The three figures are none where no filter needed them.
    """

    file: str
    name: str
    sha256: str
    split: str
    label: str
    label_index: int
    index: int
    synthetic: bool
    seed: int | None
    generator: str | None
    params: str
    critic_score: float | None = None
    label_confidence: float | None = None
    nearest_train: float | None = None
    filters: tuple[str, ...] | None = None
    augmint: str


class _Export(BaseModel):
    """What a reader needs of ``export`` in a set's parameters; the rest is there to make the set again."""

    model_config = ConfigDict(strict=True)

    format: Literal["imagefolder", "webdataset", "parquet"]
    encoding: Literal["png", "jpeg", "webp", "webp-lossless"]
    quality: Annotated[int, Field(ge=1, le=100)]
    shard_images: Annotated[int, Field(ge=1)]
    licence: str
    mark: bool
    truncation: Annotated[float, Field(gt=0, le=1)] = 1.0


class Origin(BaseModel):
    """What the generator was fine-tuned from.

    Attributes:
        path: the folder, as params.yaml named it.
        generator, critic: SHA-256 of the weights.
        classes: names of those that they had been trained on.
        init_from: what they had been fine-tuned from in their turn; None if from fresh weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str
    generator: Digest
    critic: Digest
    classes: tuple[str, ...]
    init_from: "Origin | None" = None

    @model_serializer(mode="wrap")
    def _without_none(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dumped(self).items() if value is not None}

    def line(self) -> "Iterator[Origin]":
        """This one, and all before it."""
        found: Origin | None = self
        while found is not None:
            yield found
            found = found.init_from


class About(BaseModel):
    """What is true of the whole set, so that it can be read, and made again, without the project around it.

    Attributes:
        classes: names; a label is an index into them. A class need not have an image.
        channels: 1 for grey, 3 for colour.
        image_size: height and width in pixels.
        splits: those that occur, in the order train, val, test.
        seed: what the sampler was given.
        generator: SHA-256 of the generator's weights.
        params: see :func:`pipeline.provenance.set_params`.
        overridden: quality gates that failed, and that ``export.force`` overrode.
        augmint: the version that wrote it.
        grey_range: what became black and white in real grey images of more than 8 bits; None if there were none.
        init_from: what the generator was fine-tuned from; None if from fresh weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    channels: Annotated[int, Field(ge=1, le=3)]
    image_size: Annotated[int, Field(ge=1)]
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)]
    seed: int
    generator: str
    params: dict[str, Any]
    overridden: tuple[str, ...]
    augmint: str
    grey_range: tuple[float, float] | None = None
    init_from: Origin | None = None

    @field_validator("params")
    @classmethod
    def _check_params(cls, params: dict[str, Any]) -> dict[str, Any]:
        try:
            _Export.model_validate(params.get("export"))
        except ValidationError as error:
            raise ValueError(_first(error)) from None
        return params

    @field_validator("grey_range")
    @classmethod
    def _check_grey_range(cls, found: tuple[float, float] | None) -> tuple[float, float] | None:
        if found is not None and not -math.inf < found[0] < found[1] < math.inf:
            raise ValueError("low must be below high")
        return found

    @property
    def format(self) -> str:
        """A key of :data:`pipeline.formats.FORMATS`."""
        return self.params["export"]["format"]

    @property
    def encoding(self) -> Encoding:
        """How the images are encoded."""
        return Encoding(self.params["export"]["encoding"], self.params["export"]["quality"])

    @property
    def truncation(self) -> float:
        """What the sampler was given, see :mod:`gan.truncation`; 1 is none."""
        return self.params["export"].get("truncation", 1.0)

    @property
    def licence(self) -> str:
        """An SPDX or Hugging Face identifier."""
        return self.params["export"]["licence"]

    def dump(self) -> bytes:
        """As JSON, in the order that they have here: the card, made again from it, must be the same text."""
        values = self.model_dump(mode="json")
        for name in ("grey_range", "init_from"):  # which few sets have
            if values[name] is None:
                del values[name]
        return json.dumps(values).encode()

    @classmethod
    def load(cls, text: bytes) -> Self:
        """Reverses :meth:`dump`.

        Raises:
            ValueError: it is not what :meth:`dump` writes.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"{_first(error)}; perhaps of another version of augmint") from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in a line."""
    found = error.errors()[0]
    return ": ".join([*map(str, found["loc"]), found["msg"]])


class ManifestWriter:
    """Writes rows in groups of :data:`ROWS_PER_GROUP`, so that memory stays flat whatever their number is."""

    def __init__(self, path: Path, about: About) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA.with_metadata({ABOUT: about.dump()}))
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
            columns = [column([getattr(row, field.name) for row in rows], field.type) for field in SCHEMA]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A manifest; what goes wrong within, for whatever reason, is said of it.

    Raises:
        UserError: no manifest, a damaged one, or one of another version of augmint.
    """
    try:
        with pq.ParquetFile(regular(path)) as file:
            if file.metadata.num_rows > path.stat().st_size:  # each row has a digest, which no encoding makes smaller
                raise ValueError(f"{file.metadata.num_rows:,} rows in {path.stat().st_size:,} bytes")
            yield file
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise UserError(f"{path}: no manifest that can be read ({fault(error)}); {again('export')}") from None


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of a manifest, of the types and without nulls where :data:`SCHEMA` says so.

    Raises:
        UserError: as :func:`read_rows`.
    """
    with _opened(path) as file:
        for name in names:
            found, wanted = file.schema_arrow.field(name).type, SCHEMA.field(name).type
            if not found.equals(wanted):
                raise ValueError(f"column {name} is {found}, not {wanted}")
        table = file.read(columns=list(names))
        for name in names:
            if not SCHEMA.field(name).nullable and table[name].null_count:
                raise ValueError(f"column {name} has gaps")
        return table


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a manifest in order, a group in memory at a time.

    Raises:
        UserError: no manifest, a damaged one, or one of another version of augmint.
    """
    names = [field.name for field in fields(Row)]
    with _opened(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ValueError("other columns than augmint writes; perhaps of another version of it")
        for group in range(file.num_row_groups):
            for values in file.read_row_group(group, columns=names).to_pylist():
                yield Row(**values | {"filters": values["filters"] and tuple(values["filters"])})


def count_images(path: Path) -> Counter[tuple[str, int, bool]]:
    """How many images a manifest lists, by split, label and whether they are synthetic.

    Raises:
        UserError: no manifest, or a damaged one.
    """
    keys, counts = ["split", "label_index", "synthetic"], Counter[tuple[str, int, bool]]()
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=keys)  # whose group_by would import pandas
            counts.update(zip(*(table[key].to_pylist() for key in keys), strict=True))
    return counts


def read_about(path: Path) -> About:
    """What a manifest says of the whole set.

    Raises:
        UserError: no manifest, a damaged one, or one of another version of augmint.
    """
    with _opened(path) as file:
        return About.load((file.schema_arrow.metadata or {})[ABOUT])
