"""The generator that made a set, where it is at hand: one that is damaged is told from one that is not there."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from gan.cards import FormerError
from gan.checkpoint import WeightsError, load_generator
from gan.networks import Network
from pipeline.errors import UserError
from pipeline.formats.manifest import MANIFEST, About
from pipeline.workspace import Workspace


class Maker(NamedTuple):
    """A generator that can make the set's images again.

    Attributes:
        generator: None where it is not at hand.
        note: why it is not, if nothing is wrong with that.
        problems: a line for each thing that is wrong.
    """

    generator: Network | None
    note: str
    problems: list[str]


def open_maker(model: Path | None, about: About) -> Maker:
    """The generator in ``model``; or in ``models`` below this folder, which may hold another one or none.

    Raises:
        UserError: nothing is in ``model``.
    """
    folder = model or Workspace().models
    there = [path for name in ("json", "safetensors") if os.path.lexists(path := folder / f"generator.{name}")]
    if not there:
        if model is not None:
            raise UserError(f"--model {model}: no generator in it, which is generator.json and generator.safetensors")
        return Maker(None, _wanted(about), [])
    strange = [path for path in folder.rglob("generator.*") if not path.is_file()]
    try:
        if strange:
            raise WeightsError(f"{strange[0]}: no file")
        generator, card = load_generator(folder)
    except WeightsError as error:
        former = isinstance(error.__cause__, FormerError)
        said = f"{folder}: {'no generator of this version' if former else 'the generator is damaged'}: {error}"
        return Maker(None, _wanted(about), [said])
    return _fitting(folder, generator, card, about, model is not None)


def _fitting(folder: Path, generator: Network, card: dict[str, Any], about: About, given: bool) -> Maker:
    """The generator, if it made the set; that another is there is a finding only where it was ``given``."""
    if card["sha256"] != about.generator:
        said = [f"{MANIFEST}: names another generator than {folder} holds"] if given else []
        return Maker(None, _wanted(about), said)
    shape = generator.shape
    if card.get("classes") != list(about.classes):
        return Maker(None, _wanted(about), [f"{folder}: the generator's card names other classes than {MANIFEST}"])
    if (shape.image_size, shape.channels, shape.classes) != (about.image_size, about.channels, len(about.classes)):
        return Maker(None, _wanted(about), [f"{MANIFEST}: names another size or mode than {folder} makes"])
    return Maker(generator, "", [])


def _wanted(about: About) -> str:
    return f"give --model with generator {about.generator[:16]}"
