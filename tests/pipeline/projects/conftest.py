"""Small sets as people keep them, and a machine whose speed is known, so that choices can be held against it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.experiment.costs import Steps
from pipeline.projects import starting
from pipeline.projects.measuring import Machine, Speed

Names = Callable[[int], str]
FRUIT = {"apple": 60, "pear": 40, "plum": 30}


def picture(label: int, number: int, side: int = 12) -> Image.Image:
    """One of many pictures, all different, in the colour of its class."""
    pixels = np.random.default_rng([label, number]).integers(0, 120, (side, side + 2, 3), dtype=np.uint8)
    pixels[..., label % 3] += 100
    return Image.fromarray(pixels)


def make_folder(
    root: Path, sizes: dict[str, int] | None = None, name: Names = "{:04d}.png".format, side: int = 12
) -> Path:
    """Class folders with as many pictures as ``sizes`` says."""
    for label, (folder, count) in enumerate((sizes or FRUIT).items()):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            path = root / folder / name(number)
            path.parent.mkdir(exist_ok=True)
            picture(label, number, side).save(path)
    return root


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: a kimg takes ten seconds, a classifier's step a hundredth."""
    monkeypatch.setattr(
        starting, "measure", lambda *_: Speed(kimg_seconds=10.0, memory=2**29, classifier=Steps(0.005, 0.005, 0.00003))
    )
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls, _: cls("cpu", 2, 2**35)))
