"""What an experiment's classifiers take, from a few steps of a stack of them: processor seconds."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from pipeline.classifier.augmentation import Augment
from pipeline.classifier.head import head_steps
from pipeline.classifier.learners import together
from pipeline.classifier.training import ExtraPass, Recipe, Task, fit_all, logits, second_steps
from pipeline.experiment.arms import ALONE, Arm, flipped, mixed, uses, with_head
from pipeline.experiment.runner import LARGE, MOST_LARGE
from pipeline.params import ClassifyParams
from pipeline.runtime import one_thread

STACK = 3  # classifiers that are timed as one; in larger stacks each takes as long, within a tenth
SMALLER = {1: 1.45, 2: 1.1}  # times what each takes in one of three: 1.4 to 1.6 and 1.0 to 1.15, measured
STEPS = 3  # that are timed, after one that warms up
ASKED = 128  # images
HEAD = 0.4  # of a step: the last layer is retrained without a backward pass through the others
TRIVIAL: Augment = "trivial"
BASE = Recipe("oversampling", TRIVIAL)  # stands for the recipe that is found best, which most candidates build on


class Steps(NamedTuple):
    """Processor seconds of one classifier in a stack.

    Attributes:
        main: of an optimiser step with one pass.
        second: of a second pass.
        asked: of asking about one image.
    """

    main: float
    second: float
    asked: float


def measure(build: Callable[[int], nn.Module], params: ClassifyParams, images: np.ndarray, labels: np.ndarray) -> Steps:
    """Trains a stack for a few steps, without and with a second pass; a second or two.

    Args:
        build: a seed to a new classifier, on the device that trains it.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
    """
    count = STACK if images.shape[-1] <= LARGE else MOST_LARGE
    networks = [build(seed) for seed in range(count)]
    networks = networks if together(networks, images.shape[1:]) else networks[:1]
    rows = np.arange(len(images))
    extra = ExtraPass(images, rows, labels, params.synthetic_weight, params.second_batch)
    with one_thread():
        alone, both = (_seconds(networks, params, images, labels, second) for second in (None, extra))
        some = images[np.resize(rows, ASKED)]
        logits(networks[0], some[:8])
        began = time.perf_counter()
        logits(networks[0], some)
        asked = (time.perf_counter() - began) / len(some)
    return Steps(alone, max(0.0, both - alone), asked)


def _seconds(
    networks: Sequence[nn.Module],
    params: ClassifyParams,
    images: np.ndarray,
    labels: np.ndarray,
    extra: ExtraPass | None,
) -> float:
    tasks = [Task(images, labels, seed, extra) for seed in range(len(networks))]
    began = 0.0
    for steps in (1, STEPS):
        began = time.perf_counter()
        fit_all(networks, tasks, steps=steps, batch_size=params.batch_size, recipe=BASE)
        if images.size and next(networks[0].parameters()).is_cuda:
            torch.cuda.synchronize()
    return (time.perf_counter() - began) / STEPS / len(networks)


def seconds(params: ClassifyParams, steps: Steps, asked: int, alone: bool = True) -> float:
    """Of all classifiers of an experiment, on one core.

    Args:
        asked: images that each is asked about.
        alone: whether there is an arm of synthetic images alone.
    """
    return sum(
        count * (SMALLER.get(stack, 1.0) * _training(arm, params, steps) + asked * steps.asked)
        for arm, count, stack in planned(params, alone)
    )


def planned(params: ClassifyParams, alone: bool = True) -> Iterator[tuple[Arm, float, int]]:
    """Every classifier that :func:`pipeline.experiment.search.experiment` trains: arms, how many, in what stack.

    Which candidate of several is found best is not known: each counts as its part of it.
    """
    rates, seeds, draws = len(params.tuning), params.tuning_seeds, params.draws
    synthetic = uses("synthetic", BASE, "synthetic", 1.0)
    groups = [
        *ALONE.values(),
        flipped(Arm("classical", BASE)),
        mixed(BASE),
        [Arm("retrained", with_head(BASE))],
        uses("control", BASE, "copies", 1.0),
        synthetic,
        *([[Arm("synthetic_only", BASE, images="synthetic")]] if alone else []),
    ]
    for group in groups:
        candidates = len(group) * rates
        searched = candidates + (seeds - 1) * -(-candidates // 2)
        tested = 0 if group[0].recipe.flips != "none" else params.seeds * (draws if group[0].draws_matter else 1)
        again = seeds if tested and group is not synthetic else 0  # those of the search are not trained again
        doses = seeds * (len(params.doses) - 1) if group is synthetic else 0
        for arm in group:
            yield arm, searched / len(group), rates  # the rates of a candidate are one stack
            yield arm, (doses + tested - again) / len(group), STACK


def _training(arm: Arm, params: ClassifyParams, steps: Steps) -> float:
    if arm.recipe.head == "retrained":
        last = head_steps(params.steps)
        return steps.main * (params.steps - last + HEAD * last)
    both = second_steps(params.steps, params.synthetic_until) if arm.extra != "none" else 0
    return steps.main * (params.steps - (both if params.pretrain else 0)) + steps.second * both
