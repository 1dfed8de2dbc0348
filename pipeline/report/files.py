"""The files that the report is made of."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.tables import read_csv
from pipeline.workspace import Workspace

Tree = dict[str, Any]


@dataclass
class PageFiles:
    """The files that the page is made of, and what could not be had of them."""

    workspace: Workspace
    unmoved: Mapping[str, Path] = field(default_factory=dict)  # by name, where it is not in the workspace yet
    missing: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, build: Callable[[Tree], Any]) -> Any:
        """What ``build`` makes of a JSON file; ``None``, and a note, if there is none or it lacks something."""
        return self._attempt(name, lambda path: build(json.loads(path.read_text(encoding="utf-8"))))

    def table(self, name: str, build: Callable[[list[Tree]], Any]) -> Any:
        """As :meth:`part`, of a CSV file: a row is a dict, in which a number is one and an empty cell ``None``."""
        return self._attempt(name, lambda path: build(read_csv(path)))

    def picture(self, name: str, caption: str, read: Callable[[Path], bytes] = Path.read_bytes) -> Tree | None:
        """A PNG as a ``data:`` address, with its caption."""
        content = self._attempt(name, read)
        return content and {"source": f"data:image/png;base64,{b64encode(content).decode()}", "caption": caption}

    def pictures(self, named: Sequence[tuple[str, str]]) -> list[Tree]:
        """Those of some PNGs with their captions that are there."""
        return [picture for source in named if (picture := self.picture(*source))]

    def synthetic_counts(self) -> dict[str, int]:
        """Synthetic images a class in the exported set; empty, and a note, if there is no manifest."""
        return self._attempt("synthetic/manifest.parquet", _count_synthetic) or {}

    def _place(self, name: str) -> Path:
        for start, place in self.unmoved.items():
            if Path(name).is_relative_to(start):
                return place / Path(name).relative_to(start)
        return self.workspace.root / name

    def _attempt(self, name: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(self._place(name))
        except FileNotFoundError:
            self.missing[name] = "not there"
        except KeyError as error:
            self.missing[name] = f"lacks {error.args[0]!r}"
        except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
            self.missing[name] = f"not readable ({error})"
        return None


def _count_synthetic(path: Path) -> dict[str, int]:
    table = pq.read_table(path, columns=["label", "synthetic"])
    counted = table.filter(table["synthetic"])["label"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counted}
