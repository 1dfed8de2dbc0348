"""Drawing from a shipped generator, for a person to look at."""

import math
from pathlib import Path

from PIL import Image

from gan.checkpoint import WeightsError, load_generator
from gan.networks import Network
from gan.sampler import Sampler
from pipeline.atomic import replacing
from pipeline.errors import UserError
from pipeline.generator import remedy
from pipeline.sheets import grid
from pipeline.wording import listed


def picture_kind(out: Path) -> str:
    """Pillow's name of the kind of picture that a file's ending asks for.

    Raises:
        UserError: there is none.
    """
    kind = Image.registered_extensions().get(out.suffix.lower())
    if kind is None:
        raise UserError(f"--out {out}: not a kind of picture; end it in .png, .jpg or .webp")
    return kind


def generator_for(model: Path, class_name: str) -> tuple[Network, int]:
    """The generator in a folder, and the label of one of its classes.

    Raises:
        UserError: no usable generator, or an unknown class.
    """
    try:
        generator, card = load_generator(model)
    except WeightsError as error:
        raise UserError(f"{error}; {remedy(error)}, or give --model") from None
    classes = card.get("classes", [])
    if class_name not in classes:
        raise UserError(f"--class {class_name}: the generator in {model} knows {listed(classes, 20)}")
    return generator, classes.index(class_name)


def write_grid(model: Path, class_name: str, count: int, seed: int, out: Path, truncation: float = 1.0) -> None:
    """Writes ``count`` images of one class as a picture, as square a grid as they fill.

    Args:
        truncation: see :mod:`gan.truncation`.

    Raises:
        UserError: no usable generator, an unknown class, or a kind of file that cannot be written.
        OSError: ``out`` cannot be written.
    """
    generator, label = generator_for(model, class_name)
    kind = picture_kind(out)
    images = Sampler(generator, seed, truncation=truncation).draw(label, 0, count).numpy()
    columns = math.ceil(math.sqrt(count))
    rows = [list(images[start : start + columns]) for start in range(0, count, columns)]
    with replacing(out) as (part,):
        grid(rows).save(part, kind)
