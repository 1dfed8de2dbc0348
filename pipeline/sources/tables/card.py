"""The front matter of a set's ``README.md``: configurations, the files of each split, and class names.

Hugging Face's Hub and `datasets` keep them there; a README without front matter says nothing.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import UserError

CARD = "README.md"
MAX_BYTES = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True)
class Configuration:
    """One of the variants that a set may have.

    Attributes:
        folder: below which its files lie, ``""`` for the set's own.
        files: patterns of each split's files, the split None where the card names none; None for no patterns at all.
        default: `datasets` loads it if no other is asked for.
    """

    name: str
    folder: str = ""
    files: dict[str | None, list[str]] | None = None
    default: bool = False


@dataclass(frozen=True)
class Card:
    """What a card says of a set's structure.

    Attributes:
        configurations: none if the card describes none.
        names: class names by configuration and column.
    """

    configurations: list[Configuration] = field(default_factory=list)
    names: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    def class_names(self, configuration: str) -> dict[str, tuple[str, ...]]:
        """Class names by column."""
        if len(self.names) == 1:  # nearly always, and then often without a name
            return next(iter(self.names.values()))
        return self.names.get(configuration, {})


def read_card(folder: Path) -> Card:
    """The card of the set in ``folder``.

    Raises:
        UserError: there is front matter that cannot be understood.
    """
    path = folder / CARD
    try:
        front = _front_matter(path)
        return Card(_configurations(front), _class_names(front))
    except (YAMLError, RecursionError, _ShapeError, OSError, UnicodeError) as error:
        detail = (
            str(error).splitlines()[0] if str(error) and not isinstance(error, RecursionError) else "nested too deep"
        )
        raise UserError(
            f"data.path: {path}: its front matter, which says what the files are, cannot be read ({detail}); mend it, "
            "or take the file out"
        ) from None


class _ShapeError(Exception):
    """A part of the front matter has another shape than `datasets` gives it."""


def _front_matter(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        text = file.read(MAX_BYTES)
    lines = text.decode(errors="replace").splitlines()
    if not lines or lines[0] != "---":
        return {}
    if "---" not in lines[1:]:
        if len(text) == MAX_BYTES:
            raise _ShapeError(f"it has over {MAX_BYTES:,} bytes")
        return {}
    # all of it as text: a class may be called no, 010 or 1e3
    content = YAML(typ="base", pure=True).load("\n".join(lines[1 : lines.index("---", 1)]))
    return content if isinstance(content, dict) else {}


def _configurations(front: dict[str, Any]) -> list[Configuration]:
    found = []
    for entry in _of(list, front.get("configs", []), "configs"):
        entry = _of(dict, entry, "configs")
        files = _files(entry["data_files"]) if "data_files" in entry else None
        name = _of(str, entry.get("config_name"), "config_name")
        folder = _of(str, entry.get("data_dir", ""), "data_dir")
        found.append(Configuration(name, folder, files, str(entry.get("default")).lower() in ("true", "yes")))
    return found


def _files(value: Any) -> dict[str | None, list[str]]:
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        found: dict[str | None, list[str]] = {}
        for entry in value:
            entry = _of(dict, entry, "data_files")
            split = _of(str, entry.get("split"), "split")
            if split in found:
                raise _ShapeError(f"the split {split!r} comes twice")
            found[split] = _patterns(entry.get("path"))
        return found
    return {None: _patterns(value)}


def _patterns(value: Any) -> list[str]:
    return [_of(str, entry, "path") for entry in (value if isinstance(value, list) else [value])]


def _class_names(front: dict[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    value = front.get("dataset_info", [])
    found = {}
    for info in value if isinstance(value, list) else [value]:
        info = _of(dict, info, "dataset_info")
        name = _of(str, info.get("config_name", "default"), "config_name")
        features = info.get("features", [])
        columns = (_column_names(feature) for feature in features) if isinstance(features, list) else ()
        found[name] = {column: names for column, names in columns if names}
    return found


def _column_names(feature: Any) -> tuple[str, tuple[str, ...]]:
    """A column and its class names; none for one that holds no classes."""
    feature = _of(dict, feature, "features")
    kind = feature.get("dtype")
    label = kind.get("class_label") if isinstance(kind, dict) else None
    names = label.get("names") if isinstance(label, dict) else None
    if isinstance(names, dict):
        if set(names) != {str(number) for number in range(len(names))}:
            raise _ShapeError(f"the names of the column {feature.get('name')!r} are not numbered from 0 on")
        names = [names[str(number)] for number in range(len(names))]
    column = _of(str, feature.get("name"), "name")
    return column, tuple(_of(str, name, "names") for name in names or [])


def _of(kind: type[T], value: Any, what: str) -> T:
    if not isinstance(value, kind):
        raise _ShapeError(f"{what} is no {'list' if kind is list else 'mapping' if kind is dict else 'text'}")
    return value
