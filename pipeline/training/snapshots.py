"""Which of a run's averaged generators ships: the best on held-out images, not merely the last."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan.checkpoint import WeightsError, read_state, save_state
from gan.networks import Network
from gan.parts import at_once, in_chunks
from gan.pixels import to_pixels
from gan.seeds import derive, stream
from pipeline.atomic import remove
from pipeline.errors import UserError
from pipeline.metrics.embedders.domain import DomainEmbedder, train_domain_embedder
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage
from pipeline.metrics.resampling import proportional, subset
from pipeline.reading.documents import fault
from pipeline.store import Store

LEAST = 50  # held-out images; the KID of fewer cannot tell two snapshots of a run
MOST = 500  # held-out images looked at, and as many synthetic ones
EMBEDDER_STEPS = 100  # enough to rank snapshots of one run; the figures of ``evaluate`` have an embedder of their own
NEIGHBOURS = 5
# of a standard error: snapshots of a run share latents and held-out images, so that chance parts their KIDs by far less
CLOSE = 0.25
AT_ONCE = 64


@dataclass(frozen=True)
class Snapshot:
    """An averaged generator's figures on the val split.

    Attributes:
        images: real images shown to the critic by then.
        kid: the kernel distance, with its standard error.
        coverage: share of held-out images with a synthetic one near.
    """

    images: int
    kid: float
    standard_error: float
    coverage: float

    def described(self) -> dict[str, float]:
        """For ``metrics/train.json``."""
        rounded = {name: float(f"{value:.6g}") for name, value in asdict(self).items() if name != "images"}
        return {"kimg": self.images / 1000, **rounded}


def best(snapshots: list[Snapshot]) -> Snapshot:
    """The one of the highest coverage among those about as low in KID as the lowest; of equals, the last."""
    lowest = min(snapshots, key=lambda one: one.kid)
    close = [one for one in snapshots if one.kid <= lowest.kid + CLOSE * lowest.standard_error]
    return max(close, key=lambda one: (one.coverage, one.images))


class Judge:
    """Compares generators with a part of the val split, always by the same latents, labels and features.

    Args:
        store: the ingested set.
        seed: the project's.
    """

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        val = store.split("val")
        rng = np.random.default_rng(derive(seed, "train.snapshot"))
        rows = np.sort(subset(val.labels, min(len(val), MOST), rng)) if len(val) else np.arange(0)
        self._images, self._labels = val.images[rows], val.labels[rows]

    @property
    def able(self) -> bool:
        """Whether there are held-out images enough to tell one snapshot from another."""
        return len(self._labels) >= LEAST

    @cached_property
    def _embedder(self) -> DomainEmbedder:
        train, classes = self.store.split("train"), len(self.store.classes)
        seed = derive(self.seed, "train.snapshot.embedder")
        return train_domain_embedder(train.images, train.labels, classes, steps=EMBEDDER_STEPS, seed=seed)

    @cached_property
    def _held_out(self) -> np.ndarray:
        return self._embedder.embed(self._images)

    def look(self, generator: Network, images: int) -> Snapshot:
        """The figures of a generator after ``images`` real images."""
        counts = proportional(np.bincount(self._labels, minlength=len(self.store.classes)), max(len(self._labels), 250))
        labels = np.repeat(np.arange(len(counts)), counts)
        made = self._embedder.embed(self._draw(generator, torch.from_numpy(labels)))
        distance = kid(made, self._held_out, labels, self._labels)
        covered = coverage(self._held_out, made, NEIGHBOURS)
        return Snapshot(images, distance.value, distance.standard_error, covered)

    @torch.inference_mode()
    def _draw(self, generator: Network, labels: Tensor) -> np.ndarray:
        device = next(generator.parameters()).device
        z = torch.randn(len(labels), generator.shape.latent_dim, generator=stream(self.seed, "train.snapshot.latent"))

        def drawn(one: Tensor, of: Tensor) -> Tensor:
            return to_pixels(generator(one.to(device), of.to(device)).float()).cpu()

        rows = at_once(AT_ONCE, generator.shape.image_size)
        return torch.cat(in_chunks(drawn, z, labels, at_once=rows)).numpy()


class Album:
    """The snapshots of a run: figures in memory, weights on disk."""

    def __init__(self, judge: Judge, folder: Path, key: str) -> None:
        self.judge, self.folder, self.key = judge, folder, key
        self.taken: list[Snapshot] = []

    def take(self, ema: Network, images: int) -> None:
        """Judges the averaged generator and keeps it."""
        if self.judge.able:
            save_state(self._file(images), ema.state_dict(), self.key)
            self.taken.append(self.judge.look(ema, images))

    def load_best(self, ema: Network) -> Snapshot | None:
        """Puts the best snapshot's weights into ``ema``; without snapshots leaves the last ones there.

        Raises:
            UserError: its file was damaged, exchanged or removed while the run was in work; it is gone then.
        """
        if not self.taken:
            return None
        chosen = best(self.taken)
        file = self._file(chosen.images)
        try:
            weights = read_state(file, self.key)
            if weights is None:
                raise WeightsError(f"{file}: is gone")
            ema.load_state_dict(weights)
        except WeightsError as error:
            raise UserError(f"{error}; run `dvc repro train`, which begins anew") from None
        except RuntimeError as error:  # whole, but another network's
            remove(file)
            raise UserError(f"{file}: {fault(error)}; run `dvc repro train`, which begins anew") from None
        return chosen

    def rows(self) -> Tensor:
        """The figures as float64 (snapshots, 4), for the run's state."""
        rows = [[one.images, one.kid, one.standard_error, one.coverage] for one in self.taken]
        return torch.tensor(rows, dtype=torch.float64).view(-1, 4)

    def load_rows(self, rows: Tensor) -> bool:
        """Takes up what :meth:`rows` gave; False if weights that belong to it are missing or damaged."""
        self.taken = [Snapshot(int(images), *figures) for images, *figures in rows.tolist()]
        try:
            return all(read_state(self._file(one.images), self.key) is not None for one in self.taken)
        except WeightsError:
            return False

    def _file(self, images: int) -> Path:
        return self.folder / f"ema_{images:09d}_images.safetensors"
