"""``export``: the labelled synthetic set, planned per class, drawn by the generator and written as an image folder.

A set in work lies in ``.augmint/export``, keyed by everything that it depends on; a killed export goes on from its
finished parts. The set is moved into place when it is whole.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import PIL
import torch
from rich.console import Console

from gan.checkpoint import sha256
from pipeline.atomic import remove, replacing, write_json
from pipeline.errors import as_user_error
from pipeline.export.estimate import estimate
from pipeline.export.parts import Work
from pipeline.export.plan import Plan, make_plan
from pipeline.export.rows import describe, mark, rows
from pipeline.export.seal import write_sums
from pipeline.export.source import open_source
from pipeline.export.writing import SetWriter
from pipeline.formats import describe as describe_set
from pipeline.formats import open_writer
from pipeline.formats.base import Writer
from pipeline.formats.encoding import Encoding
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter
from pipeline.gates import require
from pipeline.params import Params
from pipeline.progress import track
from pipeline.provenance import params_hash, revision, version
from pipeline.report.acceptance import acceptance_table
from pipeline.store import FILES, Store
from pipeline.workspace import Workspace

PART = 256  # images that are written, and recorded as written, at a time


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``synthetic/`` with its manifest and sums, and ``metrics/export.json``.

    Raises:
        UserError: no ingested set, no usable generator, one that was trained on another set, a failed quality gate, a
            class that is unknown or of which the filters pass too little, a class name that cannot be a folder's, or
            a disk that does not take the set.
    """
    store, plan = _planned(params, workspace)
    quality = _quality(workspace)
    overridden = require(quality, params.export.force)
    source = open_source(params, workspace, store, plan)
    about = describe(params, source, store, revision(workspace.root), overridden)
    try:
        work = Work(workspace.scratch / "export", _identity(params, workspace, store))
        layout = open_writer(work.set, about)
        size = PART if params.export.format == "imagefolder" else params.export.shard_images
        writer = SetWriter(source, work, layout, size, lambda entry: mark(about, entry.label, entry.index))
        with track(plan.total, "export", "images") as progress:
            writer.run(progress)
        seal = _close(params, work, writer, layout, about, quality)
        figures = _figures(params, plan, writer, about, seal)
        # the figures first: the set may be written to any place, but the journal has to lie in one of the project's
        with replacing(workspace.metrics("export"), workspace.synthetic) as (file, folder):
            write_json(file, figures)
            shutil.move(work.set, folder)
        remove(work.folder.parent)
    except OSError as error:
        error.filename = error.filename or str(workspace.synthetic)
        failure = as_user_error(error)
        raise type(failure)(
            f"{failure}. What was there before is untouched; {workspace.scratch / 'export'} holds what is finished of "
            "the new set"
        ) from None
    if source.filters.on:
        Console(stderr=True).print(acceptance_table(figures))
    if plan.total:
        print(f"export: {plan.total:,} images; {writer.seconds}", file=sys.stderr)


def dry_run(params: Params, workspace: Workspace) -> None:
    """Prints the plan, and from a few blocks how large the set will be and how long it will take; writes nothing.

    Raises:
        UserError: as :func:`run`, as far as it can be known.
    """
    store, plan = _planned(params, workspace)
    require(_quality(workspace), params.export.force)
    source = open_source(params, workspace, store, plan)
    print(estimate(source, Encoding(params.export.encoding, params.export.quality)))


def _planned(params: Params, workspace: Workspace) -> tuple[Store, Plan]:
    store = Store.open(workspace.store)
    plan = make_plan(params.export, store, workspace.params)
    Console(stderr=True).print(plan.table(f"export.balance: {params.export.balance}"))
    for line in _warnings(plan, params):
        print(f"export: {line}", file=sys.stderr)
    return store, plan


def _warnings(plan: Plan, params: Params) -> Iterator[str]:
    if not any(plan.wanted):
        yield (
            f"no synthetic image to make: balance {params.export.balance} asks for no more than the train split has "
            f"(largest class {max(plan.train):,}). A whole number is a number of images a class; for twice the real "
            "ones write 2.0"
        )
    if plan.empty:
        yield (
            f"no image in the folder of class {', '.join(plan.empty)}: torchvision's ImageFolder reads such a set with "
            "allow_empty=True, or set export.include_real: train"
        )


def _quality(workspace: Workspace) -> dict[str, Any]:
    """The figures of ``evaluate``; DVC runs it before, a person may not have."""
    try:
        return json.loads(workspace.metrics("quality").read_text())
    except FileNotFoundError:
        print(f"export: no {workspace.metrics('quality')}: the gates are not checked", file=sys.stderr)
        return {}


def _identity(params: Params, workspace: Workspace, store: Store) -> dict[str, Any]:
    """All that the bytes of a part depend on."""
    return {
        "seed": params.seed,
        "export": params.export.model_dump(exclude={"force"}),
        "store": [sha256(store.folder / name) for name in FILES],
        "models": [sha256(path) for path in sorted(workspace.models.glob("*.safetensors"))],
        "part": PART,
        "versions": [version(), torch.__version__, PIL.__version__],
    }


def _close(params: Params, work: Work, writer: SetWriter, layout: Writer, about: About, quality: dict[str, Any]) -> str:
    """Writes what describes the whole set; returns its seal."""
    with ManifestWriter(work.set / MANIFEST, about) as out:
        for record in writer.records():
            out.extend(rows(about, params_hash(params), record))
    layout.close()
    describe_set(work.set, about, quality)
    return write_sums(work.set)


def _figures(params: Params, plan: Plan, writer: SetWriter, about: About, seal: str) -> dict[str, Any]:
    """The content of ``metrics/export.json``."""
    classes = [
        {"class": name, "wanted": wanted, "drawn": tally.drawn, "accepted": tally.accepted}
        | {"rejected": dict(tally.rejected)}
        for name, wanted, tally in zip(plan.classes, plan.wanted, writer.tallies, strict=True)
    ]
    return {
        "images": plan.total,
        "classes": classes,
        "filters": params.export.filters.model_dump(),
        "forced": bool(about.overridden),
        "overridden": list(about.overridden),
        "seal": seal,
    }
