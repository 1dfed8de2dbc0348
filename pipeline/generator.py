"""The shipped generator, opened for a set that it must fit."""

from pathlib import Path
from typing import Any

from gan.cards import FormerError
from gan.checkpoint import WeightsError, load_generator
from gan.networks import Network
from pipeline.errors import UserError
from pipeline.store import Store
from pipeline.wording import listed


def open_generator(models: Path, store: Store) -> tuple[Network, dict[str, Any]]:
    """The generator in ``models`` in eval mode, and its card.

    Raises:
        UserError: no usable generator, or one that was trained on other classes or sizes than ``store`` holds.
    """
    try:
        generator, card = load_generator(models)
    except WeightsError as error:
        raise UserError(f"{error}; {remedy(error)}") from None
    made = (tuple(card.get("classes", ())), generator.shape.image_size, generator.shape.channels)
    held = (store.classes, store.image_size, store.channels)
    if made != held:
        raise UserError(
            f"{models}: trained on other classes or sizes: the generator makes {_describe(*made)}, but {store.folder} "
            f"holds {_describe(*held)}; run `dvc repro train`"
        )
    return generator, card


def remedy(error: WeightsError) -> str:
    """What to do about a network that cannot be opened; DVC takes one of an earlier version for up to date."""
    if isinstance(error.__cause__, FormerError):
        return "train it anew with `dvc repro --force --single-item train`, or use the version that made it"
    return "run `dvc repro train` first"


def _describe(classes: tuple[str, ...], image_size: int, channels: int) -> str:
    colour = "colour" if channels == 3 else "grey"
    return f"{image_size}x{image_size} {colour} images of {len(classes)} classes ({listed(classes)})"
