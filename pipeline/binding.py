"""Figures that decide something say what they were computed from, and by a checksum what they were.

``metrics/*.json`` hold two lists, which DVC shows to nobody: ``checksum``, the SHA-256 of the figures, and
``made_from``, the SHA-256 of each file and choice that they were computed from. A reader refuses figures that were
edited, and those that decide are held against the files as they are now. That finds edits and what is out of date. It
is no signature: who computes the checksum anew can write any figure.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gan.files import sha256
from pipeline.atomic import write_json
from pipeline.errors import UserError
from pipeline.figures import FIGURES
from pipeline.params import Params
from pipeline.reading.documents import Document, again, read_document
from pipeline.store import set_files
from pipeline.workspace import Workspace

CHOICES = "params.yaml"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
STAGES = {"ingest": "ingest", "train": "train", "quality": "evaluate", "export": "export", "utility": "classify"}
"""The stage that writes the figures of a name."""
WRITERS = STAGES | {"study": "study/dvc.yaml:summary"}
"""The same, and that of the study, which not every project has."""


class Source(Document):
    """What figures were computed from: a file by its path from the project's folder, or some of its choices."""

    file: str
    sha256: Digest


class Figures(Document):
    """What every file of figures holds beside them."""

    checksum: Annotated[list[Digest], Field(min_length=1, max_length=1)]
    made_from: list[Source]


class Gate(Document):
    """What became of a gate."""

    figure: Literal[tuple(FIGURES)]  # type: ignore[valid-type]
    gate: str
    value: float | None
    limit: float | None
    passed: bool


class Quality(Figures):
    """What ``export`` goes by."""

    gates: list[Gate]


class Utility(Figures):
    """What ``--require helps`` goes by."""

    verdict: Literal["HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE"]
    sentence: str


class Card(Document):
    """What the report says of a generator; see :mod:`gan.cards` for what its weights are held against."""

    family: str
    kimg: float
    sha256: Digest
    members: list[Digest] = Field([])


MODELS: dict[str, type[Figures]] = {"quality": Quality, "utility": Utility, "study": Utility}


def write_figures(path: Path, figures: Mapping[str, Any], made_from: Iterable[Mapping[str, str]] = ()) -> None:
    """Writes figures as JSON, with what they were computed from and their checksum.

    Args:
        made_from: see :func:`sources`.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    content = {**figures, "made_from": [dict(source) for source in made_from]}
    write_json(path, content | {"checksum": [checksum(content)]})


def read_figures(workspace: Workspace, name: str, path: Path | None = None) -> dict[str, Any]:
    """The figures called ``name``, as their stage wrote them.

    Args:
        name: a key of :data:`WRITERS`.
        path: where they are, if not in their place.

    Raises:
        UserError: there are none, or they were edited.
    """
    return read_bound(path or workspace.metrics(name), MODELS.get(name, Figures), WRITERS[name])


def read_bound(path: Path, model: type[Figures], stage: str) -> dict[str, Any]:
    """The content of a file that :func:`write_figures` wrote, wherever it is.

    Args:
        stage: which writes the file, for the message.

    Raises:
        UserError: there is none, it does not fit ``model``, or it was edited.
    """
    figures = read_document(path, model, stage)
    if figures["checksum"] != [checksum(figures)]:
        raise UserError(f"{path}: edited since {stage} wrote it, as its checksum tells; {again(stage)}")
    return figures


def checksum(figures: Mapping[str, Any]) -> str:
    """SHA-256, 64 hex digits, of figures but for their checksum; the order of keys and white space do not count."""
    plain = {key: value for key, value in figures.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def sources(workspace: Workspace, *files: Path, **choices: Any) -> list[dict[str, str]]:
    """The digests of the files that are there, and of choices, which JSON can hold.

    >>> sources(Workspace(), seed=0)[0]["file"]
    'params.yaml: seed'
    """
    rows = [
        {"file": file.relative_to(workspace.root).as_posix(), "sha256": sha256(file)}
        for file in files
        if file.is_file()
    ]
    if choices:
        text = json.dumps(choices, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        rows.append({"file": f"{CHOICES}: {', '.join(choices)}", "sha256": digest})
    return rows


def store_files(workspace: Workspace) -> list[Path]:
    """The files of the ingested set that results depend on."""
    return set_files(workspace.store)


def generator_files(workspace: Workspace) -> list[Path]:
    """Weights and cards of the shipped generator, those of an ensemble's members included."""
    return sorted(workspace.models.rglob("generator.*"))


def quality_sources(params: Params, workspace: Workspace) -> list[dict[str, str]]:
    """What ``evaluate`` computes its figures from by now."""
    files = (*store_files(workspace), *generator_files(workspace))
    truncation = params.export.truncation
    further = {} if truncation == 1 else {"truncation": truncation}  # figures from before there was any stay current
    return sources(workspace, *files, seed=params.seed, evaluate=params.evaluate.model_dump(mode="json"), **further)


def read_quality(params: Params, workspace: Workspace) -> dict[str, Any]:
    """The figures of ``evaluate``, which gates are about; DVC runs it before ``export``, a person may not have.

    Raises:
        UserError: they were edited, or belong to another store or generator or other choices than there are now.
    """
    path = workspace.metrics("quality")
    if not os.path.lexists(path):
        print(f"export: no {path}: the gates are not checked", file=sys.stderr)
        return {}
    quality = read_figures(workspace, "quality")
    require_current("quality", quality, quality_sources(params, workspace))
    return quality


def as_now(workspace: Workspace, figures: Mapping[str, Any]) -> list[dict[str, str]]:
    """``made_from`` of figures with the digests that its files have by now; choices stay as they were."""
    rows = []
    for source in figures["made_from"]:
        file = workspace.root / source["file"]
        if source["file"].startswith(f"{CHOICES}: "):
            rows.append(dict(source))
        elif file.is_file():
            rows.append({"file": source["file"], "sha256": sha256(file)})
    return rows


def changed(figures: Mapping[str, Any], now: Iterable[Mapping[str, str]]) -> list[str]:
    """The files and choices that figures were computed from and that are otherwise by now, and those that are new.

    Args:
        figures: from :func:`read_figures`.
        now: what they would be computed from; see :func:`sources` and :func:`as_now`.
    """
    then, found = ({source["file"]: source["sha256"] for source in rows} for rows in (figures["made_from"], now))
    return sorted(name for name in then.keys() | found.keys() if then.get(name) != found.get(name))


def require_current(name: str, figures: Mapping[str, Any], now: Iterable[Mapping[str, str]]) -> None:
    """Lets figures pass that belong to the files and choices as they are.

    Args:
        name: a key of :data:`WRITERS`.
        figures, now: see :func:`changed`.

    Raises:
        UserError: something that they were computed from has changed.
    """
    if found := changed(figures, now):
        stage = WRITERS[name]
        raise UserError(
            f"metrics/{name}.json: out of date: {', '.join(found)} changed since {stage} computed it; run `dvc repro "
            f"{stage}`, or, if DVC finds nothing to do, `dvc repro --force --single-item {stage}`"
        )
