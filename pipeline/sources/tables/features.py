"""Which columns of a set hold its images and labels, and how its classes are called."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.sources.tables.columns import OTHER_NAMES, found

IMAGE_NAMES = {"image", "img", "images", "picture", "photo", "bytes", "image_bytes", "jpg", "png", "pixels"}


@dataclass(frozen=True)
class ImageColumns:
    """The columns of one shard.

    Attributes:
        image: the column of images.
        nested: it is a struct with the field ``bytes``, as `datasets` writes it, not the bytes themselves.
        label: the column of labels.
        names: class names, which the labels number; None where the labels are their own names.
        numeric: the labels are whole numbers.
        extra: of ``split`` and ``group``, those that there are.
    """

    image: str
    nested: bool
    label: str
    names: tuple[str, ...] | None
    numeric: bool
    extra: tuple[str, ...]


def holds_images(schema: pa.Schema) -> bool:
    """Whether a table has the images themselves in a column, in a form that can be read or not."""
    return bool(_image_fields(schema))


def image_columns(
    schema: pa.Schema, path: Path, names: dict[str, tuple[str, ...]], label_column: str = ""
) -> ImageColumns:
    """The columns of images and labels.

    Args:
        schema: of the shard, with the metadata of `datasets` if there is any.
        path: of the shard, for messages.
        names: class names that the set's card gives to columns; they come before the shard's own.
        label_column: the column of the labels, where it is not plain.

    Raises:
        UserError: a column is missing, comes twice, or is of another type.
    """
    fields = _image_fields(schema)
    if not fields:
        raise UserError(
            f"data.path: {path}: no column of images ({found(schema.names)}); keep one data set in a folder"
        )
    if len(fields) > 1:
        shown = ", ".join(field.name for field in fields)
        raise UserError(f"data.path: {path}: {len(fields)} columns of images ({shown}); keep one")
    image = fields[0]
    nested = _checked_image(image, path)
    classes = {**_class_labels(schema), **{name: names[name] for name in schema.names if name in names}}
    label = _label(schema, classes, path, label_column)
    whole = is_whole(check_words(schema, label, path))
    extra = tuple(name for name in ("split", "group") if name in schema.names)
    for name in extra:
        check_words(schema, name, path)
    return ImageColumns(image.name, nested, label, classes.get(label) if whole else None, whole, extra)


def check_words(schema: pa.Schema, name: str, path: Path) -> pa.DataType:
    """The type of the columns ``name``, of their values where they are a dictionary's.

    Raises:
        UserError: it holds neither text nor whole numbers nor truth values.
    """
    kind = schema.field(schema.get_all_field_indices(name)[0]).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (is_text(kind) or is_whole(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise UserError(f"data.path: {path}: the column {name!r} is {kind}; it has to hold text or whole numbers")
    return kind


def is_whole(kind: pa.DataType) -> bool:
    """Whether a type is a whole number."""
    return bool(pa.types.is_integer(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text, in any of Arrow's layouts."""
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What `datasets` notes of each column in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    classes = {}
    for column, feature in _features(schema).items():
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in schema.names:
            names = feature.get("names")
            if isinstance(names, list):
                classes[column] = tuple(map(str, names))
    return classes


def _image_fields(schema: pa.Schema) -> list[pa.Field]:
    """The columns that hold images: as they are declared, else by their types."""
    features = _features(schema)
    declared = {name for name, feature in features.items() if isinstance(feature, dict) and _is_image(feature)}
    fields = [field for field in schema if field.name in declared] or [f for f in schema if _has_bytes(f.type)]
    if fields:
        return fields
    binary = [field for field in schema if _is_binary(field.type)]
    named = [field for field in binary if field.name.lower() in IMAGE_NAMES]
    return named or ([] if "path" in schema.names else binary)


def _is_image(feature: dict[str, Any]) -> bool:
    if feature.get("_type") in ("List", "LargeList", "Sequence") and isinstance(feature.get("feature"), dict):
        return _is_image(feature["feature"])
    return feature.get("_type") == "Image"


def _has_bytes(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _has_bytes(kind.value_type)
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _checked_image(field: pa.Field, path: Path) -> bool:
    """Whether the images are in a struct; the types of their bytes are checked."""
    if _is_list(field.type):
        raise UserError(f"data.path: {path}: the column {field.name!r} is a list of images; write one image a row")
    if is_text(field.type) or (pa.types.is_struct(field.type) and not _has_bytes(field.type)):
        raise UserError(
            f"data.path: {path}: the column {field.name!r} names image files and does not hold them; write the table "
            "with their bytes, or a table of path,label beside the files"
        )
    nested = pa.types.is_struct(field.type)
    kind = field.type.field("bytes").type if nested else field.type
    if not _is_binary(kind):
        name = f"{field.name}.bytes" if nested else field.name
        raise UserError(
            f"data.path: {path}: the column {name!r} is {kind}; it has to be binary: the bytes of image files"
        )
    return nested


def _label(schema: pa.Schema, classes: dict[str, tuple[str, ...]], path: Path, wanted: str) -> str:
    if wanted and wanted not in schema.names:
        raise UserError(f"data.label_column: {wanted}: no such column in {path} ({found(schema.names)})")
    named = [wanted] if wanted else ["label"] if "label" in schema.names else list(classes)
    if len(named) == 1 and schema.names.count(named[0]) == 1:
        return named[0]
    if len(named) == 1:
        raise UserError(f"data.path: {path}: {schema.names.count(named[0])} columns {named[0]!r}; keep one")
    if named:
        raise UserError(
            f"data.path: {path}: {len(named)} columns of classes ({', '.join(named)}); name the one to use by "
            "data.label_column"
        )
    others = [name for name in schema.names if name.lower() in OTHER_NAMES["label"] or name.lower() == "label"]
    rename = f"rename {' or '.join(map(repr, others))} to 'label'" if others else "rename the column of the classes"
    rename += ", or name it by data.label_column"
    raise UserError(f"data.path: {path}: no column 'label' ({found(schema.names)}); {rename}")


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _is_binary(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))
