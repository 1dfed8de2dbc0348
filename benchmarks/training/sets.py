"""Real image sets for the training benchmarks: pixels, labels, and a network to compare them by."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from gan.networks import Network
from gan.pixels import to_pixels
from gan.trainer import Labelled
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import Recipe, features, fit
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage

SAMPLES, NEIGHBOURS = 1000, 5


class Task(NamedTuple):
    """A train set, and held-out images (N, C, H, W) with labels that samples are compared to."""

    train: Labelled
    held_out: np.ndarray
    held_out_labels: np.ndarray


def digits() -> Task:
    """scikit-learn's 1,797 digits of 8x8 pixels: 1,000 to train on, the rest held out."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images = np.rint(loaded.images * (255 / 16)).astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    return _task(images, loaded.target, order[:1000], order[1000:])


def fashion(archive: Path, size: int = 32, count: int = 5000) -> Task:
    """``count`` training images of Fashion-MNIST and 2,000 test images, padded from 28 to ``size`` pixels.

    Args:
        archive: a zip of ``train|test/<class>/*.png``.
        size: of the images.
        count: how many to train on.
    """
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        rng = np.random.default_rng(0)
        chosen = [
            name
            for split, n in (("train", count), ("test", 2000))
            for name in rng.permutation([x for x in names if f"{split}/" in x])[:n]
        ]
        pad = (size - 28) // 2
        images = np.stack([np.pad(np.asarray(Image.open(io.BytesIO(file.read(name)))), pad) for name in chosen])[
            :, None
        ]
    labels = np.array([int(Path(name).parent.name) for name in chosen])
    return _task(images, labels, np.arange(count), np.arange(count, len(images)))


def long_tail(task: Task, head: int, tail: int) -> Task:
    """The same with ``head`` images of the first class down to ``tail`` of the last one, in equal ratios."""
    images, labels, classes = task.train.images, task.train.labels, task.train.classes
    sizes = np.round(head * (tail / head) ** (np.arange(classes) / (classes - 1))).astype(int)
    rows = np.concatenate([np.flatnonzero(labels == label)[:size] for label, size in enumerate(sizes)])
    return task._replace(train=Labelled(images[rows], labels[rows], classes))


def _task(images: np.ndarray, labels: np.ndarray, train: np.ndarray, rest: np.ndarray) -> Task:
    labels = labels.astype(np.int64)
    return Task(Labelled(images[train], labels[train], 10), images[rest], labels[rest])


class Judge:
    """KID and coverage of the held-out images in the features of a classifier that was trained on the train set."""

    def __init__(self, task: Task, steps: int = 400) -> None:
        _, channels, size, _ = task.train.images.shape
        self.network = SmallResNet(task.train.classes, channels, size, seed=0)
        recipe = Recipe(balance="oversampling", augment="affine")
        fit(self.network, task.train.images, task.train.labels, seed=0, steps=steps, recipe=recipe, lr=2e-2)
        self.real, self.labels = features(self.network, task.held_out), task.held_out_labels

    def kid(self, generator: Network) -> float:
        """Of :data:`SAMPLES` images of a generator, as many of each class, always from the same latents."""
        return self.judged(generator)[0]

    @torch.inference_mode()
    def judged(self, generator: Network) -> tuple[float, float]:
        """KID and coverage of such images."""
        labels = torch.arange(SAMPLES) % 10
        z = torch.randn(SAMPLES, generator.shape.latent_dim, generator=torch.Generator().manual_seed(0))
        parts = [to_pixels(generator(a, b)) for a, b in zip(z.split(100), labels.split(100), strict=True)]
        made = features(self.network, torch.cat(parts).numpy())
        return kid(made, self.real, labels.numpy(), self.labels).value, coverage(self.real, made, NEIGHBOURS)
