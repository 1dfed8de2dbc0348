"""``augmint init``: from images to a project, with the reason beside every choice."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.checks.before import overlap_of
from pipeline.errors import UserError
from pipeline.params import DataParams, Params, load_params
from pipeline.projects import choosing, rendering, saying, writing
from pipeline.projects.choosing import Choice
from pipeline.projects.looking import Look, look, sides_of
from pipeline.projects.measuring import Machine, measure
from pipeline.projects.proposal import Proposal
from pipeline.projects.recognising import as_written, recognise
from pipeline.remote.addresses import is_url, shown
from pipeline.store import SPLITS
from pipeline.workspace import Workspace


def start(folder: Path, images: str, size: int | None, label_column: str, minutes: float, dry_run: bool) -> int:
    """Looks at the images, says what it found and chose, and writes the project unless ``dry_run``.

    Args:
        folder: of the project; made if it is not there.
        images: see :func:`pipeline.projects.recognising.recognise`.
        size: of the images in the store; None for one that fits.
        label_column: of a table or the like; empty where it is to be found out.
        minutes: aimed at for the training of the generator, and once more for the classifiers.
        dry_run: write nothing.

    Returns:
        How many files are there already and say something else.

    Raises:
        UserError: images that cannot be read or split, or a folder that cannot hold the project.
    """
    there = writing.writable(folder)
    with tempfile.TemporaryDirectory(prefix=".augmint-", dir=there) as stage:  # on the same disk as the project
        proposal = propose(folder, images, size, label_column, minutes, Path(stage))
        saying.tell(proposal)
        files = writing.states(folder, proposal.texts)
        differing = [file for file in files if file.found is not None and not file.same]
        if dry_run:
            saying.show(files)
        else:
            written = writing.write(folder, files)
            _keep_fetched(Path(stage), folder)
            made = writing.init_dvc(folder.absolute())
            saying.written(folder, written, made)
    differing = [file for file in differing if any(writing.differences(file, folder, proposal.params))]
    for file in differing:
        saying.differs(folder / file.name, writing.differences(file, folder, proposal.params))
    if not dry_run:
        saying.next_steps(folder, proposal)
    return len(differing)


def propose(folder: Path, images: str, size: int | None, label_column: str, minutes: float, stage: Path) -> Proposal:
    """All that a project of these images would be; writes nothing but what it has to fetch, into ``stage``.

    Raises:
        UserError: see :func:`start`.
    """
    data, source = recognise(images, stage, label_column)
    machine = Machine.here(folder)
    sides = sides_of(source)
    chosen_size = choosing.chosen_size(sides, size, machine.device)
    given = sorted({name for code, name in enumerate(SPLITS) if (source.listing.splits == code).any()})
    early = [chosen_size, *choosing.fractions(len(source.listing), given)]
    found = look(source, data.model_copy(update={choice.key[1]: choice.value for choice in early}), sides)
    written = DataParams.model_validate(found.data.model_dump() | {"path": as_written(data, folder.absolute())})
    networks = choosing.networks(written.image_size, machine.device)
    params = _params(written, networks)
    speed = measure(params.train, params.classify, written.image_size, found.channels, found.train)
    before = _before(folder)
    choices = (
        *_data_choices(found, written, early),
        *networks,
        *choosing.training(found, speed, minutes, before.train.kimg if before else None),
        *choosing.exporting(found),
        *choosing.experiment(found, speed, machine, minutes, before.classify.steps if before else None),
    )
    params = _params(written, choices)
    if overlap := overlap_of(params.data.path, Workspace(folder)):
        raise UserError(f"--images: {overlap}")
    proposal = Proposal(folder, found, machine, speed, params, choices, {})
    return Proposal(folder, found, machine, speed, params, choices, _texts(proposal))


def _before(folder: Path) -> Params | None:
    """The choices of a project that is there already."""
    try:
        return load_params(Workspace(folder).params)
    except UserError:
        return None


def _params(data: DataParams, choices: Sequence[Choice]) -> Params:
    tree: dict[str, Any] = {"data": data.model_dump()}
    for choice in choices:
        tree.setdefault(choice.key[0], {})[choice.key[1]] = _frozen(choice.value)
    return Params.model_validate(tree)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _data_choices(found: Look, written: DataParams, early: list[Choice]) -> list[Choice]:
    """Why the data's own keys are as they are."""
    choices = [*early, Choice(("data", "source"), written.source, "what the images were recognised as")]
    if found.groups:
        one, other = found.groups.example
        why = f"{found.groups.count:,} groups by name, such as {one} with {other}; empty if they do not belong together"
        choices.append(Choice(("data", "group_pattern"), written.group_pattern, why))
    if written.near_duplicate_bits != DataParams().near_duplicate_bits:
        why = f"with more, a class could not be split: {found.notes[0] if found.notes else ''}"
        choices.append(Choice(("data", "near_duplicate_bits"), written.near_duplicate_bits, " ".join(why.split())))
    return choices


def _texts(proposal: Proposal) -> dict[str, str]:
    name, look_, data = proposal.folder.absolute().name, proposal.look, proposal.params.data
    return {
        "params.yaml": rendering.params_yaml(
            proposal.params, proposal.choices, f"{name}: {len(look_.listing):,} images of {len(look_.classes)} classes"
        ),
        "dvc.yaml": rendering.dvc_yaml(writing.dvc_watches(data.path)),
        "prefect.yaml": rendering.prefect_yaml(),
        ".gitignore": rendering.template("gitignore") + (f"/{data.path}\n" if data.dataset else ""),
        "README.md": rendering.readme(
            name=name,
            classes=len(look_.classes),
            path=shown(data.path) if is_url(data.path) else data.path,
            images=len(look_.listing),
            splits=[(split, int(counts.sum())) for split, counts in look_.counts.items()],
            said=choosing.advice(look_),
        ),
    }


def _keep_fetched(stage: Path, folder: Path) -> None:
    """Moves what had to be fetched from the stage into the project, so that ingest need not fetch it again."""
    for name in ("data", ".augmint"):
        if (stage / name).exists() and not (folder / name).exists():
            shutil.move(stage / name, folder / name)
