"""Sheets of what a run draws by now."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gan.networks import Network
from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.sheets import grid

COLUMNS = 12


class Pictures:
    """The sheets of one run, in its folder.

    Args:
        folder: of the run.
        classes: names, one a row.
        seed: the run's.
        device: where to draw.
    """

    def __init__(self, folder: Path, classes: tuple[str, ...], seed: int, device: torch.device) -> None:
        self.folder, self.classes, self.seed, self.device = folder, classes, seed, device

    def samples(self, generator: Network) -> Image.Image:
        """What ``generator`` draws, one row a class, always from the same latents."""
        sampler = Sampler(generator, derive(self.seed, "train.grid"), self.device)
        rows = [sampler.draw(label, 0, COLUMNS).numpy() for label in range(len(self.classes))]
        return grid(np.stack(rows), self.classes)

    def take(self, generator: Network, images: int) -> None:
        """Keeps a sheet of what ``generator`` draws after ``images`` real images."""
        self.samples(generator).save(self._file(images))

    def taken(self) -> list[Path]:
        """The sheets kept so far, in order."""
        return sorted(self.folder.glob("grid_*.png"))

    def forget_after(self, images: int) -> None:
        """Removes those that were taken later than after ``images``: the run goes back there."""
        for picture in self.taken():
            if picture > self._file(images):
                picture.unlink()

    def _file(self, images: int) -> Path:
        return self.folder / f"grid_{images:09d}_images.png"
