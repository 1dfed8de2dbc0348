"""The last layer trained anew on balanced batches, over features that stay as they are (cRT, Kang et al. 2020).

Features are learnt best from the images as they come, and it is the last layer that their proportions lead astray.
Synthetic images may take part here alone: what they teach then cannot harm the features.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.optimizers import Adam
from gan.pixels import to_floats
from gan.seeds import stream
from pipeline.classifier.batches import draw_batches, shuffled_rounds
from pipeline.classifier.training import ExtraPass, Recipe, Task, changed

SHARE = 0.2  # of the steps; Kang et al. take a tenth, of far more
EXTRA = 0.5  # of a batch, where there are extra images


def head_steps(steps: int) -> int:
    """How many of ``steps`` retrain the last layer, one at least."""
    return max(1, round(SHARE * steps))


def head(network: nn.Module) -> nn.Module:
    """The last module with parameters of its own: of a classifier, what makes logits of features."""
    return [module for module in network.modules() if list(module.parameters(recurse=False))][-1]


def retrain_head(
    network: nn.Module,
    task: Task,
    *,
    steps: int,
    batch_size: int,
    recipe: Recipe,
) -> None:
    """Trains :func:`head` from zero, in place; all else is frozen and stays so, statistics of batch normalisation too.

    From zero, because over frozen features the loss is convex: where it begins does not matter.

    Args:
        network: trained; maps float32 (N, C, H, W) in [-1, 1] to logits (N, classes).
        task: of its extra images come :data:`EXTRA` of each class's, where they have any; their weight counts for
            nothing.
        steps: optimiser steps.
        recipe: says how images are flipped and augmented; they are not mixed.
    """
    labels, extra = task.labels, task.extra
    last, device = head(network), next(network.parameters()).device
    network.eval().requires_grad_(False)
    weights = [nn.init.zeros_(each.requires_grad_()) for each in last.parameters(recurse=False)]
    optimizer = Adam(weights, task.lr, weight_decay=task.weight_decay)
    rows = draw_batches(labels, steps, batch_size, True, stream(task.seed, "classifier.head.batch"))
    instead, rng = _instead(labels[rows], extra, task.seed), stream(task.seed, "classifier.head.augment")
    for step in range(steps):
        pixels = np.array(task.images[rows[step]])
        if extra is not None and (taken := instead[step] >= 0).any():
            pixels[taken] = extra.images[instead[step][taken]]
        logits = network(changed(to_floats(torch.from_numpy(pixels).to(device)), recipe, rng))
        optimizer.zero_grad()
        F.cross_entropy(logits, torch.from_numpy(labels[rows[step]]).to(device)).backward()
        optimizer.lr = task.lr * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.step()


def _instead(labels: np.ndarray, extra: ExtraPass | None, seed: int) -> np.ndarray:
    """For each place of the batches, ``labels`` (steps, batch), a row of the extra images of that class, or -1."""
    rows = np.full(labels.shape, -1, np.int64)
    if extra is None:
        return rows
    chance = torch.rand(labels.shape, generator=stream(seed, "classifier.head.extra")).numpy() < EXTRA
    order = stream(seed, "classifier.head.order")
    for label in np.unique(extra.labels):
        places = np.nonzero((labels == label) & chance)
        rows[places] = shuffled_rounds(extra.rows[extra.labels == label], len(places[0]), order)
    return rows
