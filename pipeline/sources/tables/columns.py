"""What the columns of a table are for, by their names."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.errors import UserError

ROLES = ("path", "label", "split", "group")
OTHER_NAMES = {
    "path": {
        *("filename", "file", "filepath", "file_path", "fname", "name", "id", "image", "image_path", "image_name"),
        *("image_id", "img", "img_path", "img_name", "imagepath", "uri", "url"),
    },
    "label": {
        *("class", "class_name", "classname", "category", "target", "labels", "label_name", "y", "species"),
        *("diagnosis", "dx", "tag"),
    },
    "split": {
        *("set", "subset", "partition", "phase", "usage", "fold", "data_split", "dataset_split", "split_name"),
        *("is_train", "is_val", "is_valid", "is_test"),
    },
    "group": {
        *("patient", "patient_id", "patientid", "patient_number", "subject", "subject_id", "subjectid", "case_id"),
        *("study_id", "lesion_id", "donor", "donor_id", "specimen", "specimen_id", "individual", "individual_id"),
        *("animal_id", "scene", "scene_id", "part_id", "plate", "plate_id", "slide", "slide_id", "video", "video_id"),
    },
}
"""What others call them; none of it is certain, so that a message asks."""

FILE_NAME = "file_name"
"""What ``path`` is called in the ``metadata.csv`` of the `datasets` library."""

SHOWN = 12


def find_columns(header: Sequence[str], path: Path, label: str = "") -> dict[str, list[int]]:
    """The positions of the columns that a table of paths has: of some role more than one if a name comes twice.

    Names are compared without case, and without spaces and quotation marks around them. With ``label`` given, that
    column holds the labels, and the only column that is called as others call paths holds the paths.

    Raises:
        UserError: ``path`` or ``label`` is missing.
    """
    if not header:
        raise UserError(f"data.path: {path}: the table is empty; write a first line path,label and a row an image")
    names = plain_names(header)
    positions = {role: [i for i, name in enumerate(names) if name == role] for role in ROLES}
    if not positions["path"] and FILE_NAME in names:
        positions["path"] = [i for i, name in enumerate(names) if name == FILE_NAME]
        say(path, f"the column {FILE_NAME!r} is read as 'path'")
    if label:
        if not positions["path"] and len(others := _other_paths(names)) == 1:
            positions["path"] = [names.index(others[0])]
            say(path, f"the column {others[0]!r} is read as 'path'")
        positions["label"] = [i for i, name in enumerate(names) if name in plain_names([label])]
        if not positions["label"]:
            raise UserError(f"data.label_column: {label}: no such column in {path} ({found(header)})")
    if missing := next((role for role in ("path", "label") if not positions[role]), None):
        named = "" if positions["label"] else ", or name the column of the labels by data.label_column"
        raise UserError(
            f"data.path: {path}: no column {missing!r} ({found(header)}){_renaming(missing, header)}{named}; the "
            "first line of a table names its columns: path,label and, if you have them, split,group; or, in Parquet, a "
            "column of images with their bytes"
        )
    say_unread(header, [role for role in ROLES if positions[role]], path)
    return {role: places for role, places in positions.items() if places}


def say_unread(header: Sequence[str], known: Collection[str], path: Path) -> None:
    """Says which column may hold the splits or groups under a name that is not read, if nothing else holds them.

    Args:
        header: the names of all columns.
        known: the roles that a column has.
        path: the table or its folder, for the message.
    """
    meanings = {"split": "it says train, val and test", "group": "no split may part the images that share it"}
    for role, meaning in meanings.items():
        names = [name for name in header if plain_names([name])[0] in {role, *OTHER_NAMES[role]}]
        if role not in known and names:
            say(path, f"the column {names[0]!r} is not read; call it {role!r} if {meaning}")


def is_complete(header: Sequence[str], label: str = "") -> bool:
    """Whether a header names both the path and the label."""
    names = plain_names(header)
    paths = "path" in names or FILE_NAME in names or (label and len(_other_paths(names)) == 1)
    return plain_names([label or "label"])[0] in names and bool(paths)


def _other_paths(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in OTHER_NAMES["path"]]


def plain_names(header: Sequence[str]) -> list[str]:
    """The names of columns without case, and without spaces and quotation marks around them."""
    return [name.strip(" \t\r\n\xa0\ufeff'\"").casefold() for name in header]


def say(path: Path, text: str) -> None:
    """Tells how something doubtful in a table was read."""
    print(f"ingest: {path}: {text}", file=sys.stderr, flush=True)


def found(header: Sequence[str]) -> str:
    """The names of the first columns, in one line, for messages."""
    shown = ", ".join(" ".join(name[:40].split()) for name in header[:SHOWN]) + (", …" if len(header) > SHOWN else "")
    return f"found: {shown}"


def _renaming(missing: str, header: Sequence[str]) -> str:
    others = [name for name, plain in zip(header, plain_names(header), strict=True) if plain in OTHER_NAMES[missing]]
    if not others:
        return ""
    return f"; rename {' or '.join(map(repr, others[:3]))} to {missing!r} if that is what it holds"
