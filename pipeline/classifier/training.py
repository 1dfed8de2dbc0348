"""The classifier's training loop and its predictions."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.seeds import stream
from pipeline.classifier.augmentation import Augment, augment
from pipeline.classifier.network import SmallResNet

EVAL_BATCH = 256
WARM_UP = 0.2  # of the steps


@dataclass(frozen=True)
class Recipe:
    """How the images of the train split are used.

    Attributes:
        balance: ``none``; ``weights`` weighs each image's loss by the inverse of its class's size; ``oversampling``
            draws every class equally often.
        augment: see :func:`pipeline.classifier.augmentation.augment`.
    """

    balance: Literal["none", "weights", "oversampling"] = "none"
    augment: Augment = "none"


@dataclass(frozen=True)
class ExtraPass:
    """Images that take a forward pass of their own at every step, so that batch normalisation never mixes them in.

    Attributes:
        images: uint8 (M, C, H, W), may be memory-mapped.
        rows: int64 (K,), the images used, as rows of ``images``; a row may stand there often.
        labels: int64 (K,).
        weight: of this pass's loss beside the main one.
    """

    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    weight: float


def fit(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    steps: int,
    batch_size: int = 64,
    lr: float = 3e-3,
    weight_decay: float = 1e-2,
    recipe: Recipe | None = None,
    extra: ExtraPass | None = None,
) -> None:
    """Trains ``network`` in place, on the device that it is on, with AdamW and a one-cycle learning rate.

    Equal ``seed`` means equal batches wherever labels and the sampling are equal, whatever else differs; the draws of
    ``extra`` depend on its size alone.

    Args:
        network: maps float32 (N, C, H, W) in [-1, 1] to logits (N, classes).
        images: uint8 (N, C, H, W), may be memory-mapped.
        labels: int64 (N,), each in [0, classes).
        seed: of batches and augmentation; the initial weights are the network's own.
        steps: optimizer steps.
        lr: the peak of the cycle.
        recipe: plain sampling without augmentation if left out.
        extra: images for a second pass at each step; they move no running statistics.
    """
    recipe = recipe or Recipe()
    device = next(network.parameters()).device
    optimizer, schedule = _optimizer(network, lr, weight_decay, steps)
    weights = _class_weights(labels).to(device) if recipe.balance == "weights" else None
    batches = draw_batches(
        labels, steps, batch_size, recipe.balance == "oversampling", stream(seed, "classifier.batch")
    )
    changes = stream(seed, "classifier.augment")
    if extra is not None:
        extra_batches = draw_batches(extra.labels, steps, batch_size, False, stream(seed, "classifier.extra.batch"))
        extra_changes = stream(seed, "classifier.extra.augment")
    network.train()
    for step in range(steps):
        rows = batches[step]
        x = augment(_floats(images[rows], device), recipe.augment, changes)
        loss = F.cross_entropy(network(x), torch.from_numpy(labels[rows]).to(device), weight=weights)
        if extra is not None:
            rows = extra_batches[step]
            x = augment(_floats(extra.images[extra.rows[rows]], device), recipe.augment, extra_changes)
            with _statistics_apart(network):
                logits_ = network(x)
            loss = loss + extra.weight * F.cross_entropy(logits_, torch.from_numpy(extra.labels[rows]).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def draw_batches(
    labels: np.ndarray, steps: int, batch_size: int, balanced: bool, generator: torch.Generator
) -> np.ndarray:
    """The rows of every batch, int64 (steps, batch_size).

    Rows come in shuffled rounds, so that none is drawn again before all have been; if ``balanced``, classes come in
    such rounds, and the members of each class in rounds of their own.
    """
    total = steps * batch_size
    if not balanced:
        return shuffled_rounds(np.arange(len(labels)), total, generator).reshape(steps, batch_size)
    order = shuffled_rounds(np.unique(labels), total, generator)
    rows = np.empty(total, dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(order == label)
        rows[places] = shuffled_rounds(np.flatnonzero(labels == label), len(places), generator)
    return rows.reshape(steps, batch_size)


def shuffled_rounds(items: np.ndarray, total: int, generator: torch.Generator) -> np.ndarray:
    """``total`` of ``items`` (K,): shuffled anew in each round, the last one cut."""
    rounds = -(-total // len(items))
    return np.concatenate(
        [items[torch.randperm(len(items), generator=generator).numpy()] for _ in range(rounds)] or [items]
    )[:total]


def _optimizer(
    network: nn.Module, lr: float, weight_decay: float, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]  # weight decay on scales and biases only harms
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cycle((step + 1) / (steps + 1)))


def _cycle(progress: float) -> float:
    """The learning rate's share of its peak: up in a straight line, then down along a cosine; progress in (0, 1)."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def _class_weights(labels: np.ndarray) -> torch.Tensor:
    counts = np.bincount(labels)
    present = np.maximum(counts, 1)
    return torch.from_numpy(len(labels) / (np.count_nonzero(counts) * present)).float()


def _floats(images: np.ndarray, device: torch.device) -> torch.Tensor:
    x = torch.from_numpy(images).to(device).float().div_(127.5).sub_(1)
    return x.contiguous(memory_format=torch.channels_last)


@contextmanager
def _statistics_apart(network: nn.Module) -> Iterator[None]:
    """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def logits(network: nn.Module, images: np.ndarray, batch_size: int = EVAL_BATCH) -> np.ndarray:
    """Logits of uint8 images (N, C, H, W), in evaluation mode: float32 (N, classes)."""
    return _in_chunks(network, network, images, batch_size)


def features(network: SmallResNet, images: np.ndarray, batch_size: int = EVAL_BATCH) -> np.ndarray:
    """Features of uint8 images (N, C, H, W), in evaluation mode: float32 (N, 128)."""
    return _in_chunks(network, network.features, images, batch_size)


@torch.inference_mode()
def _in_chunks(
    network: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], images: np.ndarray, batch_size: int
) -> np.ndarray:
    device = next(network.parameters()).device
    network.eval()
    chunks = [
        function(_floats(np.array(images[start : start + batch_size]), device)).float().cpu().numpy()
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(chunks)
