"""Logit adjustment (Menon et al. 2021): what a classifier learnt of how often classes come is taken out of its logits.

A classifier that saw class c with probability π_c gives logits that hold log π_c; balanced accuracy wants them without:
logits - τ log π, with τ chosen on validation. It moves the thresholds between classes, and costs no training.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.classifier.mixing import PASTED
from pipeline.classifier.training import Recipe, second_steps
from pipeline.experiment.accuracies import answers, balanced_accuracy
from pipeline.experiment.arms import Arm
from pipeline.experiment.pool import Pool
from pipeline.experiment.trial import Predictions
from pipeline.params import ClassifyParams
from pipeline.store import Store

TAUS = (0.0, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Counts:
    """Images of each class, int64 (K,) each.

    Attributes:
        train: real ones.
        synthetic: of dose 1.
        alone: of dose 1 where nothing else is trained on; zeros where that cannot be.
    """

    train: np.ndarray
    synthetic: np.ndarray
    alone: np.ndarray


def counts(store: Store, pool: Pool) -> Counts:
    """Those of an experiment."""
    return Counts(store.split("train").counts(len(store.classes)), pool.unit, pool.alone)


def class_mass(arm: Arm, counts: Counts, params: ClassifyParams) -> np.ndarray:
    """How much each class weighs in the arm's loss, by its sampling and weights: π, float64 (K,), of sum 1.

    The passes count by the steps that have them and by their weight in the loss; each is a mean over its batch, so that
    the size of a batch does not matter. A head that is retrained has seen all classes equally often.
    """
    if arm.recipe.head == "retrained":
        return _uniform(counts.train)
    main = _of_pass(arm.recipe, counts.train if arm.images == "real" else counts.alone)
    if arm.extra == "none":
        return main
    both = second_steps(params.steps, params.synthetic_until) / params.steps
    weight = params.synthetic_weight * both
    second = _of_pass(replace(arm.recipe, balance="none"), counts.synthetic)
    mass = (1 - both if params.pretrain else 1.0) * main + weight * second
    return mass / mass.sum()


def _of_pass(recipe: Recipe, counts: np.ndarray) -> np.ndarray:
    if recipe.balance != "none":
        return _uniform(counts)
    mass = counts / counts.sum()
    return (1 - PASTED) * mass + PASTED * _uniform(counts) if recipe.mix == "cmo" else mass


def _uniform(counts: np.ndarray) -> np.ndarray:
    present = counts > 0
    return present / np.count_nonzero(present)


def adjusted(predictions: Predictions, mass: np.ndarray, tau: float) -> Predictions:
    """Logits less τ log π, up to a constant; a class of no mass was never learnt, and stays as it is.

    Args:
        mass: π, float (K,).
    """
    log = np.log(np.where(mass > 0, mass, mass.max()) / mass.max())
    shift = np.where(mass > 0, tau * log, 0.0).astype(np.float32)
    return replace(predictions, val=predictions.val - shift, test=predictions.test - shift)


def adjustable(mass: np.ndarray) -> bool:
    """Whether τ can do anything: all classes that have mass have not the same."""
    return len(np.unique(mass[mass > 0])) > 1


def scores(predictions: Predictions, labels: np.ndarray) -> np.ndarray:
    """Balanced accuracy on the validation split of each classifier, float64 (seeds, draws).

    Args:
        labels: int64 (N,).
    """
    return balanced_accuracy(answers(predictions.val) == labels, labels)


def best_adjusted(predictions: Predictions, mass: np.ndarray, labels: np.ndarray) -> tuple[float, Predictions]:
    """The τ of :data:`TAUS` with the best mean score on validation, the least of equals, and what it makes of the
    logits."""
    if not adjustable(mass):
        return 0.0, predictions
    found = {tau: adjusted(predictions, mass, tau) for tau in TAUS}
    tau = max(TAUS, key=lambda tau: float(scores(found[tau], labels).mean()))
    return tau, found[tau]
