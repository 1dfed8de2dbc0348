"""``export-set``: a set beside the project's own, no output of DVC's; the flow of that name runs it."""

import os
from pathlib import Path

from rich.console import Console

from pipeline.errors import UserError
from pipeline.export.making import Made, Place, make_set
from pipeline.export.plan import make_plan, no_such_class
from pipeline.export.request import Request
from pipeline.formats.checksums import SUMS
from pipeline.formats.manifest import MANIFEST
from pipeline.params import ExportParams, Params
from pipeline.provenance import revision
from pipeline.report.terminal.acceptance import print_made
from pipeline.store import Store
from pipeline.workspace import Workspace


def run(request: Request, params: Params, workspace: Workspace) -> None:
    """Writes the set that ``request`` asks for; gates and filters hold as for the project's own.

    Raises:
        UserError: a place that holds something else, no ingested set, a class that it has not, or as
            :func:`pipeline.export.making.make_set`.
    """
    _require_free(request.target, workspace)
    store = Store.open(workspace.store)
    for key, names in (("classes", request.classes), ("counts", request.counts)):
        for name in names:
            if name not in store.classes:
                raise UserError(f"{key}: {name!r}: {no_such_class(name, store)}")
    counts = request.wanted(store.classes)
    plan = make_plan(store, counts, "none")
    Console(stderr=True).print(plan.table(f"for {request.target}"))
    chosen = params.export.model_dump() | {"include_real": "none", "format": request.format}
    export = ExportParams.model_validate(chosen | {"encoding": request.encoding})
    scratch = workspace.scratch / "aside"
    place = Place(request.target, scratch / "export.json", scratch / "export")
    source = revision(workspace.root)

    def tell(made: Made) -> None:
        print_made(made.figures, made.seconds, source)

    make_set(params.model_copy(update={"export": export}), workspace, store, plan, place, tell, counts)


def _require_free(target: Path, workspace: Workspace) -> None:
    """Only a set that was exported before is replaced, as it can be made again.

    Raises:
        UserError: there is something else, or ``target`` belongs to the project.
    """
    if "\0" in str(target):
        raise UserError(f"target: {str(target)!r}: no folder's name holds a NUL")
    place = target.resolve()
    for own in (output.resolve() for output in workspace.outputs):
        if place.is_relative_to(own) or own.is_relative_to(place):
            raise UserError(f"target: {target}: holds or is an output of the project; name another folder")
    if not os.path.lexists(place):
        return
    if not place.is_dir() or (any(place.iterdir()) and not all((place / name).is_file() for name in (SUMS, MANIFEST))):
        raise UserError(f"target: {target}: holds what is no exported set and stays as it is; name another folder")
