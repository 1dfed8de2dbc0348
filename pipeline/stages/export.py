"""``export``: the labelled synthetic set, planned per class, drawn by the generator, in the format chosen."""

import sys
from collections.abc import Iterator

from rich.console import Console

from pipeline.binding import read_quality
from pipeline.escaping import terminal
from pipeline.export.estimate import estimate
from pipeline.export.ingredients import open_ingredients
from pipeline.export.making import Place, make_set
from pipeline.export.plan import Plan, balanced_counts, make_plan
from pipeline.formats.encoding import Encoding
from pipeline.gates import require
from pipeline.params import Params
from pipeline.provenance import revision
from pipeline.report.terminal.acceptance import print_made
from pipeline.store import Store
from pipeline.wording import listed
from pipeline.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``synthetic/`` with its manifest and sums, and ``metrics/export.json``.

    Raises:
        UserError: no ingested set, a class in ``export.classes`` that it has not, or as
            :func:`pipeline.export.making.make_set`.
    """
    store, plan = _planned(params, workspace)
    scratch = workspace.scratch / "export"
    place = Place(workspace.synthetic, workspace.metrics("export"), scratch)
    source = revision(workspace.root)
    make_set(params, workspace, store, plan, place, lambda made: print_made(made.figures, made.seconds, source))


def dry_run(params: Params, workspace: Workspace) -> None:
    """Prints the plan, and from a few blocks how large the set will be and how long it will take; writes nothing.

    Raises:
        UserError: as :func:`run`, as far as it can be known.
    """
    store, plan = _planned(params, workspace)
    require(read_quality(params, workspace), params.export.force)
    ingredients = open_ingredients(params, workspace, store, plan)
    print(estimate(ingredients, Encoding(params.export.encoding, params.export.quality)))


def _planned(params: Params, workspace: Workspace) -> tuple[Store, Plan]:
    store, export = Store.open(workspace.store), params.export
    plan = make_plan(store, balanced_counts(export, store, workspace.params), export.include_real)
    Console(stderr=True).print(plan.table(f"export.balance: {export.balance}"))
    for line in _warnings(plan, params):
        print(f"export: {terminal(line)}", file=sys.stderr)
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
            f"no image in the folder of class {listed(plan.empty)}: torchvision's ImageFolder reads such a set with "
            "allow_empty=True, or set export.include_real: train"
        )
