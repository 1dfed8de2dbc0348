"""The classifier's training loop and its predictions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.optimizers import Adam
from gan.parts import at_once, in_chunks
from gan.seeds import derive, stream
from pipeline.classifier.augmentation import Augment, Flips, augment, flip
from pipeline.classifier.batches import Joined, draw_batches
from pipeline.classifier.learners import Learner, One, learner_of
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


@dataclass(frozen=True)
class Task:
    """What one of several classifiers learns.

    Attributes:
        images: uint8 (N, C, H, W), may be memory-mapped.
        labels: int64 (N,), each in [0, classes).
        seed: of batches and augmentation; the initial weights are the network's own.
        extra: images for a second pass; they move no running statistics.
        lr: the peak of its one-cycle learning rate.
        weight_decay: of AdamW, on all but scales and biases, which it only harms.
    """

    images: np.ndarray
    labels: np.ndarray
    seed: int
    extra: ExtraPass | None = None
    lr: float = 3e-3
    weight_decay: float = 1e-2


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
    """Trains ``network`` in place, by its own layers; else as :func:`fit_all`.

    Args:
        network: maps float32 (N, C, H, W) in [-1, 1] to logits (N, classes).
        images: with ``labels``, ``seed`` and ``extra`` a :class:`Task`.
    """
    task = Task(images, labels, seed, extra, lr, weight_decay)
    _train(One(network, _own_norms(extra)), [task], steps, batch_size, recipe or Recipe())


def fit_all(
    networks: Sequence[nn.Module],
    tasks: Sequence[Task],
    *,
    steps: int,
    batch_size: int = 64,
    recipe: Recipe | None = None,
) -> None:
    """Trains ``networks`` in place, on the device that they are on, with AdamW.

    Each learns its own task, all by the same recipe, and each the same as if it were alone. Equal seeds mean equal
    batches wherever labels and the sampling are equal, whatever else differs; the draws of an extra pass depend on its
    size alone.

    Args:
        networks: of one shape, for which :func:`pipeline.classifier.learners.together` is true; or one.
        tasks: as many; all with an extra pass of the same sizes and weight, or all without.
        steps: optimizer steps.
        batch_size: images of the main pass of each network at each step.
        recipe: plain sampling without augmentation if left out.
    """
    learner = learner_of(networks, own_norms=_own_norms(tasks[0].extra))
    _train(learner, tasks, steps, batch_size, recipe or Recipe())


def _own_norms(extra: ExtraPass | None) -> bool:
    return extra is not None and extra.own_norms


def _train(learner: Learner, tasks: Sequence[Task], steps: int, batch_size: int, recipe: Recipe) -> None:
    extra = tasks[0].extra
    optimizers = [
        (task.lr, Adam(weights, task.lr, weight_decay=decay))
        for task, kernels, others in zip(tasks, learner.kernels, learner.others, strict=True)
        for weights, decay in ((kernels, task.weight_decay), (others, 0.0))
    ]
    main = _main_pass(learner, tasks, steps, batch_size, recipe)
    second = _second_pass(learner, tasks, steps, recipe) if extra else None
    for step in range(steps):
        learner.zero_grad()
        if extra is None or not (extra.alone and step < second_steps(steps, extra.until)):
            learner.backward(main.loss(step).sum())
        if extra is not None and second is not None and step < second_steps(steps, extra.until):
            with learner.statistics_apart():
                learner.backward(extra.weight * second.loss(step).sum())
        for peak, optimizer in optimizers:
            optimizer.lr = peak * _cycle((step + 1) / (steps + 1))
            optimizer.step()
    learner.store()


def second_steps(steps: int, until: float) -> int:
    """How many of ``steps`` have a second pass."""
    return round(until * steps)


@dataclass(frozen=True)
class _Source:
    """Where a pass of one network takes its images from: ``rows`` of (N, C, H, W) by number, labels (N,), a seed."""

    look_up: Callable[[np.ndarray], np.ndarray]
    labels: np.ndarray
    seed: int


class _Pass:
    """One forward pass a step: each network's batches, changes and loss, from streams named after the pass."""

    def __init__(
        self, learner: Learner, sources: Sequence[_Source], steps: int, batch_size: int, recipe: Recipe, name: str
    ) -> None:
        self._learner, self._sources, self._recipe = learner, sources, recipe
        balanced = recipe.balance == "oversampling"
        self._batches = [
            draw_batches(source.labels, steps, batch_size, balanced, stream(source.seed, f"{name}.batch"))
            for source in sources
        ]
        weighted = recipe.balance == "weights"
        self._weights = [
            _image_weights(source.labels) if weighted else np.ones(len(source.labels), np.float32) for source in sources
        ]
        self._changes = [stream(source.seed, f"{name}.augment") for source in sources]
        self._rngs = [np.random.default_rng(derive(source.seed, f"{name}.mix")) for source in sources]
        if recipe.mix == "cmo":
            self._pasted = [
                draw_batches(source.labels, steps, batch_size, True, stream(source.seed, f"{name}.pasted"))
                for source in sources
            ]
            self._pasted_changes = [stream(source.seed, f"{name}.pasted.augment") for source in sources]

    def loss(self, step: int) -> torch.Tensor:
        """The weighted mean cross-entropy of each network's batch of the step: (S,)."""
        rows = [batches[step] for batches in self._batches]
        x = self._changed(rows, self._changes)
        if self._recipe.mix == "none":
            return self._entropy(self._learner(x), rows, self._weights)
        other_rows, others, other_weights = self._others(step, rows, x)
        x, share = _mixed(x, others, self._recipe.mix, self._rngs)
        logits_ = self._learner(x)
        loss = share * self._entropy(logits_, rows, self._weights)
        return loss + (1 - share) * self._entropy(logits_, other_rows, other_weights)

    def _others(
        self, step: int, rows: list[np.ndarray], x: torch.Tensor
    ) -> tuple[list[np.ndarray], torch.Tensor, list[np.ndarray]]:
        """What the step's images are mixed with: rows, images (S, N, C, H, W), and the weights of all rows."""
        if self._recipe.mix == "cmo":  # balanced by the draw, so that no weights are left to be given
            pasted = [batches[step] for batches in self._pasted]
            return pasted, self._changed(pasted, self._pasted_changes), [np.ones_like(one) for one in self._weights]
        return [np.roll(one, 1) for one in rows], x.roll(1, 1), self._weights

    def _changed(self, rows: Sequence[np.ndarray], rngs: Sequence[torch.Generator]) -> torch.Tensor:
        """Each network's images, flipped and augmented: (S, N, C, H, W)."""
        found = [source.look_up(one) for source, one in zip(self._sources, rows, strict=True)]
        x = changed(_floats(np.concatenate(found), self._learner.device), self._recipe, *rngs)
        return x.unflatten(0, (len(rows), -1))

    def _entropy(
        self, logits_: torch.Tensor, rows: Sequence[np.ndarray], weights: Sequence[np.ndarray]
    ) -> torch.Tensor:
        labels = _gathered([source.labels for source in self._sources], rows).to(logits_.device)
        return _weighted(logits_, labels, _gathered(weights, rows).to(logits_.device))


def changed(images: torch.Tensor, recipe: Recipe, *rngs: torch.Generator) -> torch.Tensor:
    """Flipped, then augmented, as the recipe says: float32 (N, C, H, W) in [-1, 1], twice.

    Args:
        rngs: each makes the changes of an equal part of the images, one part after the other.
    """
    return augment(flip(images, recipe.flips, *rngs), recipe.augment, *rngs)


def _main_pass(learner: Learner, tasks: Sequence[Task], steps: int, batch_size: int, recipe: Recipe) -> _Pass:
    sources = [_Source(task.images.__getitem__, task.labels, task.seed) for task in tasks]
    return _Pass(learner, sources, steps, batch_size, recipe, "classifier")


def _second_pass(learner: Learner, tasks: Sequence[Task], steps: int, recipe: Recipe) -> _Pass:
    """Changed and mixed like the main pass, but drawn as it is: its classes are balanced by the dose already."""
    extras = [(task.extra, task.seed) for task in tasks if task.extra is not None]
    sources = [_Source(partial(_of_extra, extra), extra.labels, seed) for extra, seed in extras]
    plain = replace(recipe, balance="none")
    return _Pass(learner, sources, steps, extras[0][0].batch_size, plain, "classifier.extra")


def _of_extra(extra: ExtraPass, rows: np.ndarray) -> np.ndarray:
    return extra.images[extra.rows[rows]]


def _gathered(arrays: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> torch.Tensor:
    """Each network's rows of its own array, (S, N)."""
    return torch.from_numpy(np.stack([array[one] for array, one in zip(arrays, rows, strict=True)]))


def _mixed(
    x: torch.Tensor, others: torch.Tensor, kind: Mix, rngs: Sequence[np.random.Generator]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each network's batch of (S, N, C, H, W) mixed with others, and the shares (S,)."""
    found = [mix(one, other, kind, rng) for one, other, rng in zip(x, others, rngs, strict=True)]
    return torch.stack([one for one, _ in found]), torch.tensor([share for _, share in found]).to(x.device)


def _weighted(logits_: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted means of (S, N) cross-entropies: (S,)."""
    entropy = F.cross_entropy(logits_.flatten(0, 1), labels.flatten(), reduction="none").view(weights.shape)
    return (entropy * weights).sum(1) / weights.sum(1)


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

    def answers(some: np.ndarray) -> np.ndarray:
        return function(_floats(np.array(some), device)).float().cpu().numpy()

    return np.concatenate(in_chunks(answers, images, at_once=at_once(batch_size, images.shape[-1])))
