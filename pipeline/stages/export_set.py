"""``export-set``: a set beside the project's own, no output of DVC's; the flow of that name runs it."""

from rich.console import Console

from pipeline.errors import UserError
from pipeline.export.making import Made, Place, make_set
from pipeline.export.plan import make_plan, no_such_class
from pipeline.export.request import Request
from pipeline.params import ExportParams, Params
from pipeline.provenance import revision
from pipeline.report.terminal.acceptance import print_made
from pipeline.store import Store
from pipeline.workspace import Workspace


def run(request: Request, params: Params, workspace: Workspace) -> None:
    """Writes the set that ``request`` asks for; gates and filters hold as for the project's own.

    Raises:
        UserError: no ingested set, a class that it has not, or as :func:`pipeline.export.making.make_set`.
    """
    store = Store.open(workspace.store)
    counts = request.counts or dict.fromkeys(store.classes, request.count)
    for name in counts:
        if name not in store.classes:
            raise UserError(f"class {name!r}: {no_such_class(name, store)}")
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
