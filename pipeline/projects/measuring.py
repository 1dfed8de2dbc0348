"""How fast this machine takes the steps of a training, and how much memory it needs: measured, in seconds."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gan.config import Config
from gan.memory import peak_bytes
from gan.networks import Shape
from gan.trainer import Labelled, Trainer
from pipeline.classifier.network import SmallResNet
from pipeline.experiment import costs
from pipeline.experiment.costs import Steps
from pipeline.params import ClassifyParams, TrainParams
from pipeline.runtime import choose_device, usable_cores
from pipeline.training.estimate import CPU_OVERHEAD, seconds_per_iteration
from pipeline.training.settings import gan_config

MIDDLE = 64  # pixels a side; a step of larger images is timed on as many pixels as a batch of such has
LARGEST = 128  # pixels a side that are timed on a processor; the time of larger images goes with their pixels
PROGRAM = 600 * 2**20  # bytes of the program itself, with torch loaded


@dataclass(frozen=True)
class Machine:
    """What runs the stages.

    Attributes:
        device: ``cpu`` or ``cuda``.
        cores: that this process may use.
        free: bytes on the project's disk.
    """

    device: str
    cores: int
    free: int

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """This machine; ``folder`` need not exist yet."""
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        return cls(choose_device("auto", "train.device").type, usable_cores(), shutil.disk_usage(there).free)


@dataclass(frozen=True)
class Speed:
    """What was measured for one choice of networks.

    Attributes:
        kimg_seconds: of training the GAN with a thousand images.
        memory: bytes at the peak of that.
        classifier: of a classifier on one core.
    """

    kimg_seconds: float
    memory: int
    classifier: Steps


def measure(train: TrainParams, classify: ClassifyParams, image_size: int, channels: int, counts: list[int]) -> Speed:
    """Times some steps on made-up images; takes a few seconds on two cores, half a minute for large images.

    Args:
        train: the GAN.
        classify: the classifiers.
        image_size: of the store.
        channels: the same.
        counts: train images a class.
    """
    device = choose_device(train.device, "train.device")
    # to compile takes longer than the steps; a GPU is then faster than what is measured here
    config = replace(gan_config(train, device, counts, image_size), compiled=False)
    side = min(image_size, LARGEST) if device.type == "cpu" else image_size
    larger = (image_size / side) ** 2
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(64, 2 * len(counts)), channels, side, side), dtype=np.uint8)
    labels = np.arange(len(images)) % len(counts)
    timed = replace(config, batch_size=_few(config, side)) if device.type == "cpu" else config
    seconds = seconds_per_iteration(Trainer.on_images(timed, Labelled(images, labels, len(counts)), 0, device))
    shape = Shape(image_size, channels, len(counts), config.latent_dim, config.width)
    memory = peak_bytes(config, shape, device) * (1.0 if device.type == "cuda" else CPU_OVERHEAD)
    return Speed(
        kimg_seconds=1000 * seconds * larger / timed.images_per_iteration,
        memory=int(memory) + (PROGRAM if device.type == "cpu" else 0),
        classifier=Steps(*(larger * step for step in _classifier_steps(classify, images, labels, len(counts)))),
    )


def _few(config: Config, side: int) -> int:
    """Images of a batch that is timed in its place, in whole groups and two at least.

    On a processor time goes with their number, and a whole step of large ones takes a minute.
    """
    unit = config.packing * config.group
    wanted = max(2, config.batch_size * MIDDLE**2 // max(MIDDLE, side) ** 2)
    return min(config.batch_size, -(-wanted // unit) * unit)


def _classifier_steps(params: ClassifyParams, images: np.ndarray, labels: np.ndarray, classes: int) -> Steps:
    device = choose_device(params.device, "classify.device")

    def build(seed: int) -> SmallResNet:
        return SmallResNet(classes, images.shape[1], images.shape[2], width=params.width, seed=seed).to(device)

    return costs.measure(build, params, images, labels)
