"""The files that the report is made of."""

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from gan.files import regular
from pipeline.binding import Card, as_now, read_figures, require_current
from pipeline.errors import UserError
from pipeline.formats.manifest import read_columns
from pipeline.reading.documents import Document, read_document
from pipeline.store import Summary
from pipeline.tables import read_csv
from pipeline.workspace import Workspace

Tree = dict[str, Any]
PLAIN: dict[str, tuple[type[Document], str]] = {
    "data/store/summary.json": (Summary, "ingest"),
    "models/generator.json": (Card, "train"),
}
"""JSON that is no file of figures: its model, and the stage that writes it."""


@dataclass
class PageFiles:
    """The files that the page is made of, and what could not be had of them."""

    workspace: Workspace
    unmoved: Mapping[str, Path] = field(default_factory=dict)  # by name, where it is not in the workspace yet
    missing: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, build: Callable[[Tree], Any]) -> Any:
        """What ``build`` makes of a JSON file; ``None``, and a note, if there is none or it lacks something."""
        return self._attempt(name, lambda path: build(self._content(name, path)))

    def table(self, name: str, build: Callable[[list[Tree]], Any], text: Collection[str] = ("class",)) -> Any:
        """As :meth:`part`, of a CSV file: a row is a dict, in which a number is one and an empty cell ``None``.

        Args:
            text: the columns that hold text.
        """
        return self._attempt(name, lambda path: build(read_csv(path, text)))

    def file(self, name: str, read: Callable[[Path], Any]) -> Any:
        """What ``read`` makes of any file; ``None``, and a note, as :meth:`part`."""
        return self._attempt(name, read)

    def picture(self, name: str, caption: str, alt: str) -> Tree | None:
        """A PNG as a ``data:`` address, with its size, its caption and what it shows for who cannot see it."""
        found = self._attempt(name, _read_png)
        return found and {**found, "caption": caption, "alt": alt}

    def pictures(self, named: Sequence[tuple[str, str, str]]) -> list[Tree]:
        """Those of some PNGs, by name, caption and alternative, that are there."""
        return [picture for source in named if (picture := self.picture(*source))]

    def synthetic_counts(self) -> dict[str, int]:
        """Synthetic images a class in the exported set; empty, and a note, if there is no manifest."""
        return self._attempt("synthetic/manifest.parquet", _count_synthetic) or {}

    def _place(self, name: str) -> Path:
        for start, place in self.unmoved.items():
            if Path(name).is_relative_to(start):
                return place / Path(name).relative_to(start)
        return self.workspace.root / name

    def _content(self, name: str, path: Path) -> Tree:
        if name in PLAIN:
            return read_document(path, *PLAIN[name])
        kind = Path(name).stem
        figures = read_figures(self.workspace, kind, path)
        require_current(kind, figures, as_now(self.workspace, figures))
        return figures

    def _attempt(self, name: str, read: Callable[[Path], Any]) -> Any:
        path = self._place(name)
        try:
            return read(regular(path))
        except FileNotFoundError:
            self.missing[name] = "not there"
        except UserError as error:
            self.missing[name] = str(error).removeprefix(f"{path}: ").removeprefix(f"{name}: ")
        except KeyError as error:
            self.missing[name] = f"lacks {error.args[0]!r}"
        except (OSError, ValueError, TypeError, AttributeError, csv.Error, pa.ArrowException) as error:
            self.missing[name] = f"not readable ({error})"
        return None


def _read_png(path: Path) -> Tree:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        width, height = picture.size
    return {"source": f"data:image/png;base64,{b64encode(content).decode()}", "width": width, "height": height}


def _count_synthetic(path: Path) -> dict[str, int]:
    table = read_columns(path, ["label", "synthetic"])
    counted = table.filter(table["synthetic"])["label"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counted}
