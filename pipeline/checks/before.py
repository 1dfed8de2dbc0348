"""What can be seen before the images are read."""

import os
from collections.abc import Iterator

from gan.config import Config
from pipeline.checks.dvc import depends_on
from pipeline.checks.finding import Finding, has_store, place
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.remote.addresses import is_url
from pipeline.runtime import choose_device
from pipeline.store import Store
from pipeline.workspace import Workspace


def overlaps(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """The source must lie apart from what the stages write, or DVC would see a stage that changes its own input."""
    if overlap := overlap_of(params.data.path, workspace):
        yield Finding("ingest", f"{place(workspace, 'data', 'path')}: data.path: {overlap}")


def overlap_of(path: str, workspace: Workspace) -> str:
    """What is wrong with images at ``path`` that lie among what the stages write; ``""`` if they do not."""
    source = (workspace.root / path).resolve()
    for output in workspace.outputs:
        there = output.resolve()
        if source == there or source in there.parents or there in source.parents:
            held = f"{path} holds {output}, which a stage writes, or lies in it"
            return f"{held}; move the images to a folder of their own"
    return ""


def source_is_there(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """What ``data.path`` names must be there, unless it is an address, is yet to be fetched, or was ingested before."""
    data = params.data
    path = workspace.root / data.path
    there = os.path.exists(path)  # noqa: PTH110 (Path's raises for a name that is too long)
    if there or data.download or is_url(data.path) or has_store(workspace):
        return
    meant = " (`~` and `$` are not expanded)" if data.path[0] in "~$" else ""
    text = f"{place(workspace, 'data', 'path')}: data.path: {data.path}: no such file or folder{meant}"
    yield Finding("ingest", f"{text}; name what holds the images")


def devices(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """A device that is asked for must be there."""
    for stage, name in (("train", params.train.device), ("classify", params.classify.device)):
        try:
            choose_device(name, f"{stage}.device")
        except UserError as error:
            yield Finding(stage, f"{place(workspace, stage, 'device')}: {error}")


def measured_gates(params: Params, workspace: Workspace) -> Iterator[Finding]:
    """A gate on a figure that no embedder gives can never pass."""
    for figure in ("fid", "inception_score"):
        if figure in params.evaluate.gates and "inception" not in params.evaluate.embedders:
            yield Finding(
                "evaluate",
                f"{place(workspace, 'evaluate', 'gates', figure)}: evaluate.gates.{figure} can never pass: it takes "
                "the inception embedder; add it to evaluate.embedders, or gate another figure, such as kid",
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

    where, folder = place(workspace, "train", "init_from"), (workspace.root / path).resolve()
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
        summary = Store.open(workspace.store) if has_store(workspace) else None
        channels = {"L": 1, "RGB": 3}.get(params.data.channels, origin.channels)
        origin.require_fit(_config(params), params.data.image_size, summary.channels if summary else channels)
    except UserError as error:
        yield Finding("train", f"{where}: {error}")
    yield from depends_on(workspace, path)


def _config(params: Params) -> Config:
    """The GAN's configuration as ``train`` will have it, but for what hangs on the images.

    Raises:
        UserError: no such device.
    """
    from pipeline.training.automatic import settled

    device = choose_device(params.train.device, "train.device")
    return settled(params.train, params.data.image_size, device.type)[0].config
