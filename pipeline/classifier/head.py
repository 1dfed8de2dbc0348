"""The last layer trained anew on balanced batches, over features that stay as they are (cRT, Kang et al. 2020).

Features are learnt best from the images as they come, and it is the last layer that their proportions lead astray.
Synthetic images may take part here alone: what they teach then cannot harm the features.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.pixels import to_floats
from gan.seeds import stream
from pipeline.classifier.batches import draw_batches, shuffled_rounds
from pipeline.classifier.training import ExtraPass, Recipe, changed

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
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    steps: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    recipe: Recipe,
    extra: ExtraPass | None = None,
) -> None:
    """Trains :func:`head` from zero, in place; all else is frozen and stays so, statistics of batch normalisation too.

    From zero, because over frozen features the loss is convex: where it begins does not matter.

    Args:
        network: trained; maps float32 (N, C, H, W) in [-1, 1] to logits (N, classes).
        images: uint8 (N, C, H, W), may be memory-mapped.
        labels: int64 (N,).
        steps: optimiser steps.
        recipe: says how images are flipped and augmented; they are not mixed.
        extra: of these come :data:`EXTRA` of each class's images, where they have any; its weight counts for nothing.
    """
    last, device = head(network), next(network.parameters()).device
    network.eval().requires_grad_(False)
    weights = [nn.init.zeros_(each.requires_grad_()) for each in last.parameters(recurse=False)]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows = draw_batches(labels, steps, batch_size, True, stream(seed, "classifier.head.batch"))
    instead, rng = _instead(labels[rows], extra, seed), stream(seed, "classifier.head.augment")
    for step in range(steps):
        pixels = np.array(images[rows[step]])
        if extra is not None and (taken := instead[step] >= 0).any():
            pixels[taken] = extra.images[instead[step][taken]]
        logits = network(changed(to_floats(torch.from_numpy(pixels).to(device)), recipe, rng))
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, torch.from_numpy(labels[rows[step]]).to(device)).backward()
        optimizer.step()
        schedule.step()


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
