"""What the ingested images mean for later stages."""

import shutil
from collections.abc import Iterator

import numpy as np

from pipeline.checks.finding import Finding, place
from pipeline.errors import UserError
from pipeline.experiment.endpoints import endpoint
from pipeline.export.plan import Plan, balanced_counts, make_plan
from pipeline.formats.encoding import Encoding
from pipeline.formats.names import folder_names
from pipeline.metric import split_metric
from pipeline.metrics.resampling import compared_at
from pipeline.params import Params
from pipeline.store import SPLITS, Store
from pipeline.wording import listed
from pipeline.workspace import Workspace

VERY_FEW = 20  # train images of a class that a generator repeats rather than learns
JUDGED_FROM = 50  # val images from which snapshots of a generator are told apart
BYTES_SPARE = 64 * 2**20  # that a disk should have beside what is counted


def classes_are_exportable(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """Every class name must be one that a folder can have, and the plan must ask for images."""
    store = Store.open(workspace.store)
    try:
        if params.export.format == "imagefolder":
            folder_names(store.classes)
        plan = _plan(params, workspace, store)
    except UserError as error:
        yield Finding("export", str(error))
        return
    if not any(plan.wanted):
        yield Finding(
            "export",
            f"{place(workspace, 'export', 'balance')}: export.balance: {params.export.balance} makes no synthetic "
            f"image: no class has fewer than it asks for (largest class {max(plan.train):,} train images). Write auto, "
            "a ratio such as 1.0 for one synthetic image for each real one, or a larger number of images",
        )
    yield from _filters(params, workspace, plan)
    yield from _disk(params, workspace, store, plan)


def splits_are_large_enough(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """Val and test must hold enough to compare, to choose by and to judge by."""
    store = Store.open(workspace.store)
    sizes = {name: len(store.split(name)) for name in SPLITS}
    for name in SPLITS[1:]:
        if not sizes[name]:
            yield Finding("classify", f"the {name} split is empty; raise data.{name}_fraction")
    neighbours = params.evaluate.neighbours
    size = compared_at(sizes["val"] + sizes["test"], params.evaluate.samples)
    if size <= neighbours:
        yield Finding(
            "evaluate",
            f"{sizes['val'] + sizes['test']} images in the val and test splits are too few to compare halves of them "
            f"by {neighbours} neighbours; raise data.val_fraction or data.test_fraction, or lower evaluate.neighbours",
        )
    if 0 < sizes["val"] < JUDGED_FROM:
        yield Finding(
            "train",
            f"{sizes['val']} images in the val split, fewer than {JUDGED_FROM}, tell no snapshots apart: the last "
            "generator will ship; raise data.val_fraction",
            fatal=False,
        )
    for name in SPLITS[1:]:
        counts = store.split(name).counts(len(store.classes))
        if sizes[name] and (missing := [store.classes[label] for label in np.flatnonzero(counts == 0)]):
            yield Finding(
                "classify",
                f"no {name} image of class {listed(missing)}; raise data.{name}_fraction, or add images of it",
                fatal=False,
            )


def doses_are_possible(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """The experiment needs one dose at least of which every draw has its images."""
    store, classify = Store.open(workspace.store), params.classify
    try:
        plan = _plan(params, workspace, store)
    except UserError:
        return  # said by another part
    unit = np.array(plan.wanted)
    train = np.array(plan.train)
    if unit.any() and not classify.force and not (unit * (train >= VERY_FEW)).any():
        yield Finding(
            "classify",
            f"every class that gets synthetic images has fewer than {VERY_FEW} train images, so that none may be used; "
            f"add images, or set classify.force: true ({place(workspace, 'classify', 'force')})",
        )
        return
    unit = unit if classify.force else unit * (train >= VERY_FEW)
    continued = Encoding(params.export.encoding, params.export.quality).lossless and not params.export.filters.on
    per_dose = [np.floor(dose * unit + 0.5) for dose in classify.doses]
    possible = [n for n in per_dose if n.any() and (continued or (n * classify.draws <= unit).all())]
    if unit.any() and not possible:
        yield Finding(
            "classify",
            f"{place(workspace, 'classify', 'doses')}: the set is too small for {classify.draws} draws of the least "
            f"dose, {min(classify.doses)}{'' if continued else ', as a filtered or lossy set cannot be continued'}; "
            f"raise export.balance, lower classify.draws, or add a dose of at most {1 / classify.draws:.2g}",
        )


def metric_is_possible(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """What the verdict is about must be of a class of the set, and measurable on val and test."""
    store, where = Store.open(workspace.store), place(workspace, "classify", "metric")
    try:
        _, name, allowed = split_metric(endpoint(params.classify.metric, store.classes).name)
    except UserError as error:
        yield Finding("classify", f"{where}: {error}")
        return
    for split in SPLITS[1:] if name else ():
        own = store.split(split).labels == store.classes.index(name)
        if not own.any():
            yield Finding(
                "classify", f"{where}: classify.metric: no {split} image of class {name!r}; raise its fraction"
            )
        elif allowed is not None and allowed * (~own).sum() < 1:
            yield Finding(
                "classify",
                f"{where}: classify.metric: {(~own).sum():,} {split} images of other classes tell no share of false "
                f"alarms as small as {allowed:g} from none at all",
                fatal=False,
            )


def _plan(params: Params, workspace: Workspace, store: Store) -> Plan:
    return make_plan(store, balanced_counts(params.export, store, workspace.params), params.export.include_real)


def _filters(params: Params, workspace: Workspace, plan: Plan) -> Iterator[Finding]:
    filters = params.export.filters
    alone = [name for name, n, made in zip(plan.classes, plan.train, plan.wanted, strict=True) if n == 1 and made]
    if filters.manifold and alone:
        yield Finding(
            "export",
            f"{place(workspace, 'export', 'filters', 'manifold')}: export.filters.manifold: class {listed(alone)} has "
            "one train image, which does not say how far its manifold reaches; set manifold: 0, or give it more images",
        )


def _disk(params: Params, workspace: Workspace, store: Store, plan: Plan) -> Iterator[Finding]:
    """Bytes that export and classify will write, at most, against those that are free."""
    image = store.channels * store.image_size**2
    pool = max(params.classify.doses) * params.classify.draws * sum(plan.wanted)
    needed = int(image * (plan.total + max(pool, sum(plan.wanted)) + params.evaluate.samples)) + BYTES_SPARE
    if (free := shutil.disk_usage(workspace.root).free) < needed:
        yield Finding(
            "export",
            f"{workspace.root.resolve()}: {free / 2**20:,.0f} MiB are free, and up to {needed / 2**20:,.0f} MiB will "
            "be written; free some, or lower export.balance and classify.doses",
            passes=True,
        )
