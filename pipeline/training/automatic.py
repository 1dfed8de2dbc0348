"""What hangs on the images' size and the device: what ``auto`` stands for, and a family's rates for large images.

``auto`` in ``train.recipe`` and ``train.family`` is what came furthest in docs/benchmarks.md.

Every family of networks was given the same time on real sets of several sizes: the table "Families of networks" there.
The plain convolutions won on a processor each time, and neither the number of images nor that of classes changed the
order. No GPU was at hand; there a larger network is taken on trust.
"""

from typing import Any, NamedTuple

from gan.config import for_size
from gan.networks import FAMILIES
from pipeline.params import TrainParams

SMALL = 16  # pixels, below which rates and batch of the recipe's own are fine


class Choice(NamedTuple):
    """Keys of ``train`` that go together, and why."""

    values: dict[str, Any]
    why: str


def chosen_recipe(image_size: int, device: str) -> Choice:
    """A recipe, with what has to go with it.

    >>> chosen_recipe(64, "cpu").values["family"]
    'dcgan'

    Args:
        image_size: in pixels.
        device: ``cpu``, ``cuda`` or ``mps``.
    """
    if device != "cpu":
        why = "keeps all modes; on a GPU its residual network is taken on trust, as none was at hand to compare others"
        return Choice({"recipe": "r3", "family": "resnet", "burn_in": 0.0}, why)
    values = {"recipe": "r3", "family": "dcgan", "penalty_every": 4, "burn_in": 0.0}
    why = f"came furthest of all in the same time on a processor, at 8, 32 and 64 pixels; these have {image_size}"
    if image_size < SMALL:
        return Choice(values, why)
    return Choice(values | {"critic_lr": 5e-4, "generator_lr": 2.5e-4}, why)


def chosen_family(recipe: str, device: str) -> Choice:
    """A family of networks for a recipe that the user chose."""
    if recipe == "stylegan2":
        return Choice({"family": "stylegan2"}, "the recipe's own, which its rates are made for")
    if device != "cpu":
        return Choice({}, "the recipe's own: no GPU was at hand to compare others")
    why = "plain convolutions come further in the same time on a processor than any other network"
    return Choice({"family": "dcgan"}, why)


def settled(params: TrainParams, image_size: int, device: str) -> tuple[TrainParams, list[str]]:
    """The choices without ``auto`` in recipe and family, and with what the family asks for at this size.

    With a sentence on each of the two.

    What the user gave, that is what is not null, goes before what would go with the recipe. A family that the user gave
    keeps the learning rates that it is made for, where it has any.
    """
    said = []
    if params.recipe == "auto":
        values, why = chosen_recipe(image_size, device)
        if other := _other_family(params, values):
            values = {name: value for name, value in values.items() if name not in FAMILIES[other].defaults}
            why += f"; but that was with family {values['family']}, and yours is {other}"
        own = {name for name in values if name != "recipe" and getattr(params, name) not in (None, "auto")}
        values = {name: value for name, value in values.items() if name not in own}
        params = params.model_copy(update=values)
        said.append(f"recipe auto: {_listed(values)}: {why}")
    if params.family == "auto":
        values, why = chosen_family(params.recipe, device)
        params = params.model_copy(update={"family": None} | values)
        said.append(f"family auto: {_listed(values) or 'null'}: {why}")
    family = params.config.family
    asked = for_size(params.recipe, family, image_size)
    if asked := {name: value for name, value in asked.items() if getattr(params, name) is None}:
        params = params.model_copy(update=asked)
        said.append(f"{_listed(asked)}: family {family} asks for it at {image_size} pixels")
    return params, said


def _other_family(params: TrainParams, values: dict[str, Any]) -> str | None:
    """The family that the user gave, where it is not the one that goes with the recipe."""
    return None if params.family in (None, "auto", values["family"]) else params.family


def _listed(values: dict[str, Any]) -> str:
    names = [str(values[name]) for name in ("recipe", "family") if name in values]
    return ", ".join(
        [*names, *(f"{name} {value:g}" for name, value in values.items() if isinstance(value, float | int))]
    )
