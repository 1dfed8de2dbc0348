"""CIFAR-10, and how far drawn images are from it: KID in the features of a small network trained on it. Torch alone.

The archive (or a folder unpacked from it) holds ``train|test/<class>/*.jpg``, as many as there are.
"""

import io
import tarfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ways import LATENTS, Options, Row, tell, textbook, wait

from gan.config import Config
from gan.networks import Network
from gan.trainer import Labelled, Trainer

STEPS, SAMPLES, AT_ONCE = 800, 2000, 250


def cifar(options: Options, device: torch.device) -> Iterator[Row]:
    """Seconds of training until the KID at which the textbook loop ends, one after the other; without the judging."""
    yield "loop", "iterations", "KID by the way", "its KID at the end", "textbook's KID at the end after"
    if options.cifar is None:
        return
    real = load(options.cifar)
    judge = Judge(real, device, 20 if options.dry_run else 800)
    size, batch = real.train.images.shape[-1], options.batches[-1]
    plain = textbook(options, device, size, batch, real.train)
    config = Config.of(
        "wgan-gp",
        kimg=1e9,
        batch_size=batch,
        width=options.width,
        latent_dim=LATENTS,
        precision=options.precision,
        compiled=device.type == "cuda",
    )
    ours = Trainer.on_images(config, real.train, 0, device)
    target = None
    for name, work, network in (("textbook", plain.iteration, plain.generator), ("augmint", ours.iteration, ours.ema)):
        curve, count = race(work, network, judge.kid, device, options.cifar_seconds)
        target = curve[-1][1] if target is None else target
        reached = next((f"{seconds:.1f} s" for seconds, kid in curve if kid <= target), "not reached")
        by_the_way = ", ".join(f"{kid:.3f} ({seconds:.0f} s)" for seconds, kid in curve)
        yield name, f"{count:,}", by_the_way, f"{curve[-1][1]:.4f}", reached
    tell(ours)


def race(
    work: Callable[[], object], network: Network, judged: Callable[[Network], float], device: torch.device, most: float
) -> tuple[list[tuple[float, float]], int]:
    """Seconds of training with the KID after each tenth, and how many iterations there were."""
    curve, spent, count = list[tuple[float, float]](), 0.0, 0
    for tenth in range(1, 11):
        while spent < most * tenth / 10:
            began = time.perf_counter()
            for _ in range(16):
                work()
            wait(device)
            spent, count = spent + time.perf_counter() - began, count + 16
        curve.append((spent, judged(network)))
    return curve, count


class Cifar(NamedTuple):
    """Both splits."""

    train: Labelled
    test: Labelled


def load(path: Path) -> Cifar:
    """All images, decoded by Pillow."""
    from PIL import Image  # the other parts do without

    found: dict[str, list[tuple[str, np.ndarray]]] = {"train": [], "test": []}
    for name, content in _files(path):
        split, label, _ = Path(name).parts[-3:]
        found[split].append((label, np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))))
    classes = sorted({label for label, _ in found["train"]})
    return Cifar(*(_stacked(found[split], classes) for split in ("train", "test")))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        yield from ((str(file), file.read_bytes()) for file in sorted(path.glob("*/*/*.*")))
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) and len(Path(member.name).parts) >= 3:
                yield member.name, file.read()


def _stacked(images: list[tuple[str, np.ndarray]], classes: list[str]) -> Labelled:
    pixels = np.stack([pixels for _, pixels in images]).transpose(0, 3, 1, 2)
    return Labelled(np.ascontiguousarray(pixels), np.array([classes.index(label) for label, _ in images]), len(classes))


class Judge:
    """The distance of a generator's images to those of the test split."""

    def __init__(self, data: Cifar, device: torch.device, steps: int = STEPS) -> None:
        self.classes, self.device = data.train.classes, device
        torch.manual_seed(0)
        self.trunk = _trunk(data.train.images.shape[1]).to(device)
        head = nn.Linear(256, self.classes).to(device)
        self._train(data.train, head, steps)
        rows = np.random.default_rng(0).permutation(len(data.test.labels))[:SAMPLES]
        self.labels = torch.from_numpy(data.test.labels[rows]).to(device)
        self.real = self._features(torch.from_numpy(data.test.images[rows]).to(device).float() / 127.5 - 1)
        self.latents = torch.Generator().manual_seed(0)

    def kid(self, generator: Network) -> float:
        """Of images of the test images' labels, always by the same latents."""
        z = torch.randn(len(self.labels), generator.shape.latent_dim, generator=self.latents.manual_seed(0))
        pairs = zip(z.to(self.device).split(AT_ONCE), self.labels.split(AT_ONCE), strict=True)
        with torch.no_grad():
            made = torch.cat([generator(one, labels).float() for one, labels in pairs])
        return _kid(self._features(made), self.real)

    def _train(self, data: Labelled, head: nn.Linear, steps: int) -> None:
        images, labels = (torch.from_numpy(array).to(self.device) for array in (data.images, data.labels))
        optimizer = torch.optim.AdamW([*self.trunk.parameters(), *head.parameters()], lr=2e-3, weight_decay=0.05)
        for _ in range(steps):
            rows = torch.randint(0, len(images), (128,), device=self.device)
            x = images[rows].float() / 127.5 - 1
            loss = F.cross_entropy(head(self.trunk(x)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.trunk.eval()

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        return torch.cat([self.trunk(some) for some in images.split(AT_ONCE)]).cpu().double()


def _trunk(channels: int) -> nn.Sequential:
    widths, layers = (channels, 64, 128, 256), list[nn.Module]()
    for one, other in pairwise(widths):
        layers += [nn.Conv2d(one, other, 3, padding=1), nn.BatchNorm2d(other), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _kid(first: Tensor, second: Tensor) -> float:
    """Bińkowski et al. 2018: the unbiased MMD² with the kernel (a·b / D + 1)³."""

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    def within(rows: Tensor) -> Tensor:
        values = kernel(rows, rows)
        return (values.sum() - values.diagonal().sum()) / (len(rows) * (len(rows) - 1))

    return float(within(first) + within(second) - 2 * kernel(first, second).mean())
