"""The classifier's training loop and its predictions."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.seeds import derive, stream
from pipeline.classifier.augmentation import Augment, Flips, augment, flip
from pipeline.classifier.batches import Joined, draw_batches
from pipeline.classifier.mixing import Mix, mix
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
        mix: see :func:`pipeline.classifier.mixing.mix`.
        flips: see :func:`pipeline.classifier.augmentation.flip`.
        head: ``retrained``: at the end the last layer is, see :mod:`pipeline.classifier.head`; :func:`fit` leaves it.
    """

    balance: Literal["none", "weights", "oversampling"] = "none"
    augment: Augment = "none"
    mix: Mix = "none"
    flips: Flips = "none"
    head: Literal["joint", "retrained"] = "joint"


@dataclass(frozen=True)
class ExtraPass:
    """Images that take a forward pass of their own, so that batch normalisation never mixes them in.

    Attributes:
        images: uint8 (M, C, H, W), may be memory-mapped; looked up by many rows at once alone.
        rows: int64 (K,), the images used, as rows of ``images``; a row may stand there often.
        labels: int64 (K,).
        weight: of this pass's loss beside the main one.
        batch_size: images of this pass at each step.
        until: the share of the steps, from the first on, that have this pass.
        alone: within that share there is no main pass: pretraining.
        own_norms: the pass has scales and shifts of batch normalisation of its own too, which go when the training ends
            (AdvProp, Xie et al. 2020).
    """

    images: np.ndarray | Joined
    rows: np.ndarray
    labels: np.ndarray
    weight: float
    batch_size: int
    until: float = 1.0
    alone: bool = False
    own_norms: bool = False


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
        extra: images for a second pass; they move no running statistics.
    """
    recipe = recipe or Recipe()
    own = own_norms(network) if extra is not None and extra.own_norms else {}
    optimizer, schedule = _optimizer(network, lr, weight_decay, steps, [part for pair in own.values() for part in pair])
    main = _Pass(network, lambda rows: images[rows], labels, steps, batch_size, recipe, seed, "classifier")
    second = _second_pass(network, extra, steps, recipe, seed) if extra else None
    network.train()
    for step in range(steps):
        losses = []
        if extra is None or not (extra.alone and step < second_steps(steps, extra.until)):
            losses.append(main.loss(step))
        if extra is not None and second is not None and step < second_steps(steps, extra.until):
            with _statistics_apart(network, own):
                losses.append(extra.weight * second.loss(step))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
    network.eval()


def second_steps(steps: int, until: float) -> int:
    """How many of ``steps`` have a second pass."""
    return round(until * steps)


class _Pass:
    """One forward pass a step: its batches, changes and loss, each from a stream named after the pass."""

    def __init__(
        self,
        network: nn.Module,
        look_up: Callable[[np.ndarray], np.ndarray],
        labels: np.ndarray,
        steps: int,
        batch_size: int,
        recipe: Recipe,
        seed: int,
        name: str,
    ) -> None:
        self._network, self._look_up, self._labels, self._recipe = network, look_up, labels, recipe
        self._device = next(network.parameters()).device
        self._weights = _image_weights(labels) if recipe.balance == "weights" else np.ones(len(labels), np.float32)
        balanced = recipe.balance == "oversampling"
        self._batches = draw_batches(labels, steps, batch_size, balanced, stream(seed, f"{name}.batch"))
        self._changes = stream(seed, f"{name}.augment")
        self._rng = np.random.default_rng(derive(seed, f"{name}.mix"))
        if recipe.mix == "cmo":
            self._pasted = draw_batches(labels, steps, batch_size, True, stream(seed, f"{name}.pasted"))
            self._pasted_changes = stream(seed, f"{name}.pasted.augment")

    def loss(self, step: int) -> torch.Tensor:
        """The weighted mean cross-entropy of the step's batch."""
        rows = self._batches[step]
        x, others, other_rows, other_weights = self._changed(rows, self._changes), None, rows, self._weights
        if self._recipe.mix == "cmo":  # balanced by the draw, so that no weights are left to be given
            other_rows, other_weights = self._pasted[step], np.ones_like(self._weights)
            others = self._changed(other_rows, self._pasted_changes)
        elif self._recipe.mix != "none":
            other_rows, others = np.roll(rows, 1), x.roll(1, 0)
        x, share = mix(x, x if others is None else others, self._recipe.mix, self._rng)
        logits_ = self._network(x)
        loss = share * self._entropy(logits_, rows, self._weights)
        if share < 1:
            loss = loss + (1 - share) * self._entropy(logits_, other_rows, other_weights)
        return loss

    def _changed(self, rows: np.ndarray, rng: torch.Generator) -> torch.Tensor:
        return changed(_floats(self._look_up(rows), self._device), self._recipe, rng)

    def _entropy(self, logits_: torch.Tensor, rows: np.ndarray, weights: np.ndarray) -> torch.Tensor:
        labels, chosen = (torch.from_numpy(array[rows]).to(self._device) for array in (self._labels, weights))
        return _weighted(logits_, labels, chosen)


def changed(images: torch.Tensor, recipe: Recipe, rng: torch.Generator) -> torch.Tensor:
    """Flipped, then augmented, as the recipe says: float32 (N, C, H, W) in [-1, 1], twice."""
    return augment(flip(images, recipe.flips, rng), recipe.augment, rng)


def _second_pass(network: nn.Module, extra: ExtraPass, steps: int, recipe: Recipe, seed: int) -> _Pass:
    """Changed and mixed like the main pass, but drawn as it is: its classes are balanced by the dose already."""
    plain = replace(recipe, balance="none")

    def look_up(rows: np.ndarray) -> np.ndarray:
        return extra.images[extra.rows[rows]]

    return _Pass(network, look_up, extra.labels, steps, extra.batch_size, plain, seed, "classifier.extra")


def _weighted(logits_: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (F.cross_entropy(logits_, labels, reduction="none") * weights).sum() / weights.sum()


def _optimizer(
    network: nn.Module, lr: float, weight_decay: float, steps: int, further: Sequence[nn.Parameter] = ()
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [
        *(p for p in network.parameters() if p.ndim <= 1),
        *further,
    ]  # weight decay on scales and biases only harms
    groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cycle((step + 1) / (steps + 1)))


def _cycle(progress: float) -> float:
    """The learning rate's share of its peak: up in a straight line, then down along a cosine; progress in (0, 1)."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def _image_weights(labels: np.ndarray) -> np.ndarray:
    """The inverse of each image's class's size, 1 on average over the images: float32 (N,)."""
    counts = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(counts) * counts[labels])).astype(np.float32)


def _floats(images: np.ndarray, device: torch.device) -> torch.Tensor:
    x = torch.from_numpy(images).to(device).float().div_(127.5).sub_(1)
    return x.contiguous(memory_format=torch.channels_last)


Norms = dict[nn.modules.batchnorm._BatchNorm, tuple[nn.Parameter, nn.Parameter]]
"""Scale and shift of each layer of batch normalisation."""


def own_norms(network: nn.Module) -> Norms:
    """A second scale and shift for each batch normalisation of ``network`` that has them, the same as the first."""
    norms = [norm for norm in _norms(network) if norm.affine]
    return {
        norm: (nn.Parameter(norm.weight.detach().clone()), nn.Parameter(norm.bias.detach().clone())) for norm in norms
    }


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def _statistics_apart(network: nn.Module, own: Norms | None = None) -> Iterator[None]:
    """Within, batch normalisation uses the batch's own statistics and leaves the running ones as they are.

    Args:
        network: has them.
        own: scales and shifts that it has within.
    """
    norms, own = _norms(network), own or {}
    shared = {norm: (norm.weight, norm.bias) for norm in own}
    for norm in norms:
        norm.track_running_stats = False
    _put(own)
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        _put(shared)


def _put(parameters: Norms) -> None:
    for norm, (weight, bias) in parameters.items():
        norm.weight, norm.bias = weight, bias


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
