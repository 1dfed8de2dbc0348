"""A finished project at its smallest: a store, a generator, a set, figures and a classifier that belong together."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.binding import quality_sources, write_figures
from pipeline.params import ExportParams, Params
from pipeline.stages import classify, export
from pipeline.workspace import Workspace
from tests.pipeline import export_project
from tests.pipeline.prediction.shipped import ship
from tests.pipeline.report import made_project

PARAMS = Params(seed=3, export=ExportParams(balance=6))
NESTED = 100_000
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"text"',
    "number": b"3",
    "object": b"{}",
    "half": b'{"classes": [',
    "no UTF-8": b'{"\xff": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "nested lists": b"[" * NESTED + b"]" * NESTED,
    "nested objects": b'{"a": ' * NESTED + b"1" + b"}" * NESTED,
    "many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "infinite": b'{"a": 1e999}',
    "not a number": b'{"a": NaN}',
    "half a surrogate": b'{"a": "\\ud800"}',
    "zeros": bytes(5000),
}
"""What may stand in the place of any file."""

VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    "",
    -1,
    0,
    True,
    1.5,
    10**30,
    1e308,
    [None],
    ["x", "x"],
    {"x": None},
    [[]],
)


def make(root: Path) -> Workspace:
    """The project; everything in it fits together."""
    workspace = export_project.make(root)
    workspace.params.write_text("seed: 3\nexport: {balance: 6}\n", encoding="utf-8")
    write_figures(
        workspace.metrics("quality"), made_project.quality() | {"gates": []}, quality_sources(PARAMS, workspace)
    )
    export.run(PARAMS, workspace)
    write_figures(workspace.metrics("utility"), made_project.utility(), classify.utility_sources(PARAMS, workspace))
    write_figures(workspace.metrics("train"), made_project.trained())
    ship(workspace.classifier, export_project.CLASSES)
    return workspace


def stand_ins(path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """By name, what makes something else of the file: other content, cuts, a folder, a pipe, a link to nothing."""
    content = path.read_bytes()
    for name, other in CONTENTS.items():
        yield name, lambda other=other: write(path, other)
    for share in (0.1, 0.5, 0.99):
        yield f"cut at {share}", lambda share=share: write(path, content[: int(share * len(content))])
    yield "longer", lambda: write(path, content + content)
    yield "folder", lambda: (path.unlink(), path.mkdir())
    yield "pipe", lambda: (path.unlink(), os.mkfifo(path))
    yield "dangling", lambda: (path.unlink(), path.symlink_to("nothing"))
    yield "missing", path.unlink


def write(path: Path, content: bytes) -> None:
    path.unlink()  # not through a link, or into what another path shares
    path.write_bytes(content)


def edits(content: Any, deep: int = 2) -> Iterator[tuple[str, Any]]:
    """JSON with one key left out or one value replaced, in each way, down to some depth."""
    keys = list(content) if isinstance(content, dict) else range(len(content[:2])) if isinstance(content, list) else []
    for key in keys:
        if isinstance(content, dict):
            yield f"no {key}", {name: value for name, value in content.items() if name != key}
        for value in VALUES:
            yield f"{key} = {json.dumps(value)[:12]}", _with(content, key, value)
        if deep > 1:
            for name, below in edits(content[key], deep - 1):
                yield f"{key}: {name}", _with(content, key, below)


def _with(content: Any, key: Any, value: Any) -> Any:
    changed = dict(content) if isinstance(content, dict) else list(content)
    changed[key] = value
    return changed
