"""From a plan to a set in its place: drawn, judged, written, described and sealed.

A set in work lies in the scratch folder, keyed by everything that it depends on; a making that is killed goes on from
its finished parts. The set is moved into place when it is whole.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL

from pipeline.atomic import flush_said, remove, replacing
from pipeline.binding import read_quality, write_figures
from pipeline.errors import as_user_error
from pipeline.export.blocks import Drawer
from pipeline.export.ingredients import open_ingredients
from pipeline.export.plan import Plan
from pipeline.export.rows import describe, rows
from pipeline.export.work import Work
from pipeline.export.writing import Seconds, SetWriter
from pipeline.formats import describe as describe_set
from pipeline.formats import open_writer
from pipeline.formats.base import Writer
from pipeline.formats.checksums import write_sums
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter
from pipeline.gates import require
from pipeline.identity import digests, key
from pipeline.params import Params
from pipeline.progress import track
from pipeline.provenance import set_params
from pipeline.store import Store
from pipeline.workers import Workers, open_workers
from pipeline.workspace import Workspace

PART = 256  # images that are written, and recorded as written, at a time
LAYOUT = 2  # to be raised when files or folders of a set are called otherwise: parts of two kinds do not mix


@dataclass(frozen=True)
class Place:
    """Where a set goes.

    Attributes:
        folder: of the set; one that is there is replaced.
        figures: the JSON file of what was drawn and kept.
        scratch: holds the set while it is in work.
    """

    folder: Path
    figures: Path
    scratch: Path


@dataclass(frozen=True)
class Made:
    """What became of a set: the content of ``metrics/export.json``, and where the time went."""

    figures: dict[str, Any]
    seconds: Seconds


def make_set(
    params: Params,
    workspace: Workspace,
    store: Store,
    plan: Plan,
    place: Place,
    tell: Callable[[Made], object],
    counts: Mapping[str, int] | None = None,
) -> None:
    """Writes the set that ``plan`` asks for, from the project's generator, with its manifest and sums.

    Args:
        tell: says what was made; called before it is moved into place, which does not happen if it raises.
        counts: see :func:`pipeline.provenance.set_params`.

    Raises:
        UserError: no usable generator, one that was trained on another set, a failed quality gate, a class of which
            the filters pass too little, a class name that cannot be a folder's, or a disk that does not take the set.
    """
    quality = read_quality(params, workspace)
    overridden = require(quality, params.export.force)
    ingredients = open_ingredients(params, workspace, store, plan)
    about = describe(set_params(params, counts), ingredients, store, overridden)
    try:
        work = Work(place.scratch, _identity(params, workspace, plan))
        layout = open_writer(work.set, about)
        with open_workers(params.workers, workspace.scratch) as workers:
            writer = _written(params, Drawer(about, ingredients), work, layout, workers)
        seal = _close(work, layout, about, quality)
        figures = _figures(params, plan, writer, about, seal)
        tell(Made(figures, writer.seconds))
        flush_said()
        # the figures first: the set may be written to any place, but the journal has to lie in one of the project's
        with replacing(place.figures, place.folder) as (file, folder):
            write_figures(file, figures)
            shutil.move(work.set, folder)
        remove(work.folder.parent)
    except OSError as error:
        error.filename = error.filename or str(place.folder)
        failure = as_user_error(error)
        raise type(failure)(
            f"{failure}. What was there before is untouched; {place.scratch} holds what is finished of the new set"
        ) from None


def _written(params: Params, drawer: Drawer, work: Work, layout: Writer, workers: Workers) -> SetWriter:
    """Writes what is missing of the set in work, and its manifest; returns what knows how it went."""
    about, source = drawer.about, drawer.source
    size = PART if params.export.format == "imagefolder" else params.export.shard_images
    with (
        workers.crew(drawer, forked=True) as crew,
        ManifestWriter(work.set / MANIFEST, about) as manifest,
        track(source.plan.total, "export", "images") as progress,
    ):
        writer = SetWriter(source, work, layout, size, crew)
        writer.run(progress, lambda record: manifest.extend(rows(about, record)))
    return writer


def _identity(params: Params, workspace: Workspace, plan: Plan) -> str:
    """Names all that the bytes of a part depend on."""
    return key(
        seed=params.seed,
        export=params.export.model_dump(mode="json", exclude={"force"}),
        wanted=plan.wanted,
        store=digests(workspace.store),
        models=digests(workspace.models),
        part=PART,
        layout=LAYOUT,
        pillow=PIL.__version__,
    )


def _close(work: Work, layout: Writer, about: About, quality: Mapping[str, Any]) -> str:
    """Writes what describes the whole set; returns its seal."""
    layout.close()
    describe_set(work.set, about, dict(quality))
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
