"""``check``: what is knowable before anything is trained, all at once, each with its remedy.

``augmint check`` prints it. ``ingest`` looks at it before it reads and after it has written the store, and ``train``
before its first step, so that nobody waits for minutes for an end that was known from the start.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.errors import BusyError, UserError
from pipeline.experiment.endpoints import endpoint
from pipeline.export.plan import Plan, balanced_counts, make_plan
from pipeline.formats.encoding import Encoding
from pipeline.formats.names import folder_names
from pipeline.metric import split_metric
from pipeline.metrics.resampling import compared_at
from pipeline.params import Params, locate
from pipeline.plain_yaml import read_mapping, scalar
from pipeline.runtime import choose_device
from pipeline.store import SPLITS, Store
from pipeline.wording import listed
from pipeline.workspace import Workspace

VERY_FEW = 20  # train images of a class that a generator repeats rather than learns
JUDGED_FROM = 50  # val images from which snapshots of a generator are told apart
BYTES_SPARE = 64 * 2**20  # that a disk should have beside what is counted


@dataclass(frozen=True)
class Finding:
    """Something that will end a later stage, or weaken what it finds.

    Attributes:
        stage: where it would come up.
        text: what is wrong, where, and what to do.
        fatal: the stage would end with it.
        passes: it may pass by itself, such as a full disk.
    """

    stage: str
    text: str
    fatal: bool = True
    passes: bool = False

    def __str__(self) -> str:
        return f"{self.stage}: {self.text}"

    def as_dict(self) -> dict[str, str | bool]:
        """For JSON."""
        return asdict(self)


def run(params: Params, workspace: Workspace) -> None:
    """Prints every finding.

    Raises:
        UserError: one of them would end a stage.
    """
    found = list(findings(params, workspace))
    for finding in found:
        print(finding, file=sys.stderr)
    fatal = [finding for finding in found if finding.fatal]
    if fatal:
        raise _kind(fatal)(f"{len(fatal)} of these will end a stage; mend them first")
    known = "" if _has_store(workspace) else "; what hangs on the images is known after `dvc repro ingest`"
    print(f"check: nothing stands in the way{known}")


def require(params: Params, workspace: Workspace, parts: "tuple[Part, ...]") -> None:
    """Prints what weakens a later stage.

    Raises:
        UserError: something would end one; all of it at once.
    """
    found = [finding for part in parts for finding in part(params, workspace)]
    for finding in found:
        if not finding.fatal:
            print(finding, file=sys.stderr)
    if fatal := [finding for finding in found if finding.fatal]:
        raise _kind(fatal)("\n".join(map(str, fatal)))


def advise(params: Params, workspace: Workspace) -> None:
    """Prints what the ingested images mean for later stages; ``train`` stops at what is fatal."""
    for part in AFTER_INGEST:
        for finding in part(params, workspace):
            print(finding, file=sys.stderr)


def findings(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """Everything that is knowable now; what hangs on the images only once they are ingested."""
    for part in (*BEFORE_INGEST, *(AFTER_INGEST if _has_store(workspace) else ())):
        yield from part(params, workspace)


Part = Callable[[Params, Workspace], Iterator[Finding]]


def _kind(fatal: list[Finding]) -> type[UserError]:
    return BusyError if all(finding.passes for finding in fatal) else UserError


def _has_store(workspace: Workspace) -> bool:
    return (workspace.store / "summary.json").is_file()


def _at(workspace: Workspace, *keys: str) -> str:
    """The place of a key in params.yaml, or its name where a file is not at hand."""
    return locate(workspace.params, *keys) if workspace.params.is_file() else ".".join(keys)


# Before ingest -----------------------------------------------------------------------------------------------------


def overlaps(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """The source must lie apart from what the stages write, or DVC would see a stage that changes its own input."""
    source = (workspace.root / params.data.path).resolve()
    for output in workspace.outputs:
        place = output.resolve()
        if source == place or source in place.parents or place in source.parents:
            yield Finding(
                "ingest",
                f"{_at(workspace, 'data', 'path')}: data.path: {params.data.path} holds {output}, which a stage "
                "writes, or lies in it; move the images to a folder of their own",
            )
            return


def devices(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """A device that is asked for must be there."""
    for stage, name in (("train", params.train.device), ("classify", params.classify.device)):
        try:
            choose_device(name, f"{stage}.device")
        except UserError as error:
            yield Finding(stage, f"{_at(workspace, stage, 'device')}: {error}")


def measured_gates(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """A gate on a figure that no embedder gives can never pass."""
    for figure in ("fid", "inception_score"):
        if figure in params.evaluate.gates and "inception" not in params.evaluate.embedders:
            yield Finding(
                "evaluate",
                f"{_at(workspace, 'evaluate', 'gates', figure)}: evaluate.gates.{figure} can never pass: it takes the "
                "inception embedder; add it to evaluate.embedders, or gate another figure, such as kid",
            )


def classifier_is_there(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """The classifier's module and weights must be there."""
    from pipeline.classifier.architectures import fingerprint

    try:
        fingerprint(params.classify, workspace.root)
    except UserError as error:
        yield Finding("classify", str(error))


def origin_fits(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """What the training goes on from must be there, fit, be none of its own outputs, and be known to DVC."""
    path = params.train.init_from
    if not path:
        return
    from pipeline.training.origin import Origin

    where, folder = _at(workspace, "train", "init_from"), (workspace.root / path).resolve()
    for output in workspace.outputs:
        if output.resolve() in (folder, *folder.parents):
            yield Finding(
                "train",
                f"{where}: train.init_from: {path} is written by the stages themselves, so that a training would go on "
                f"from its own result; copy it to a folder outside {output} and name that",
            )
            return
    try:
        origin = Origin.open(path, workspace.root)
        summary = Store.open(workspace.store) if _has_store(workspace) else None
        channels = {"L": 1, "RGB": 3}.get(params.data.channels, origin.channels)
        origin.require_fit(params.train.config, params.data.image_size, summary.channels if summary else channels)
    except UserError as error:
        yield Finding("train", f"{where}: {error}")
    yield from _unknown_to_dvc(workspace, path)


def _unknown_to_dvc(workspace: Workspace, path: str) -> Iterator[Finding]:
    """DVC must see the folder of models change; its templating knows no dependency that may be left out."""
    file = workspace.root / "dvc.yaml"
    if not file.is_file():
        return
    stage = (read_mapping(file).get("stages") or {}).get("train") or {}
    base = workspace.root / (stage.get("wdir") or ".")
    listed_here = [next(iter(dep)) if isinstance(dep, dict) else str(dep) for dep in stage.get("deps") or []]
    known = [(base / dep.replace("${train.init_from}", path)).resolve() for dep in listed_here]
    folder = (workspace.root / path).resolve()
    if stage and not any(one in (folder, *folder.parents) for one in known):
        line = locate(file, "stages", "train", "deps")
        yield Finding(
            "train",
            f"{line}: the stage train does not depend on {path}, so that `dvc repro` would not see it change; add this "
            f"line to its deps:\n      - {scalar(path)}",
        )


# After ingest ------------------------------------------------------------------------------------------------------


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
            f"{_at(workspace, 'export', 'balance')}: export.balance: {params.export.balance} makes no synthetic image: "
            f"no class has fewer than it asks for (largest class {max(plan.train):,} train images). Write auto, a "
            "ratio such as 1.0 for one synthetic image for each real one, or a larger number of images",
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
            f"add images, or set classify.force: true ({_at(workspace, 'classify', 'force')})",
        )
        return
    unit = unit if classify.force else unit * (train >= VERY_FEW)
    continued = Encoding(params.export.encoding, params.export.quality).lossless and not params.export.filters.on
    per_dose = [np.floor(dose * unit + 0.5) for dose in classify.doses]
    possible = [n for n in per_dose if n.any() and (continued or (n * classify.draws <= unit).all())]
    if unit.any() and not possible:
        yield Finding(
            "classify",
            f"{_at(workspace, 'classify', 'doses')}: the set is too small for {classify.draws} draws of the least "
            f"dose, {min(classify.doses)}{'' if continued else ', as a filtered or lossy set cannot be continued'}; "
            f"raise export.balance, lower classify.draws, or add a dose of at most {1 / classify.draws:.2g}",
        )


def metric_is_possible(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """What the verdict is about must be of a class of the set, and measurable on val and test."""
    store, where = Store.open(workspace.store), _at(workspace, "classify", "metric")
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
            f"{_at(workspace, 'export', 'filters', 'manifold')}: export.filters.manifold: class {listed(alone)} has "
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


BEFORE_INGEST: tuple[Part, ...] = (overlaps, devices, measured_gates, classifier_is_there, origin_fits)
AFTER_INGEST: tuple[Part, ...] = (
    classes_are_exportable,
    splits_are_large_enough,
    doses_are_possible,
    metric_is_possible,
)
