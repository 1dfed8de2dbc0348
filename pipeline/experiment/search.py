"""Which recipe, rate and dose: everything that is chosen is chosen on the validation split, by equal budgets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from pipeline.errors import UserError
from pipeline.experiment.accuracies import answers, balanced_accuracy
from pipeline.experiment.arms import ALONE, MIXES, Arm, without_synthetic
from pipeline.experiment.pool import Pool
from pipeline.experiment.runner import Runner
from pipeline.experiment.trial import Predictions
from pipeline.params import ClassifyParams


@dataclass(frozen=True)
class Tried:
    """A candidate and its balanced accuracy on the validation split, one value a tuning seed."""

    arm: Arm
    validation: tuple[float, ...]

    @property
    def mean(self) -> float:
        """What candidates are compared by."""
        return float(np.mean(self.validation))


@dataclass(frozen=True)
class Experiment:
    """All that was trained.

    Attributes:
        arms: by name, as they are tested, and what their classifiers answered.
        baseline: name of the best arm without synthetic images, on validation.
        tried: every candidate of the search, in order.
        doses: the candidates for the dose, which is chosen last; the first is dose 0, the same recipe without a second
            pass, which stands there to compare with.
    """

    arms: dict[str, tuple[Arm, Predictions]]
    baseline: str
    tried: list[Tried]
    doses: list[Tried]


def trials(params: ClassifyParams, doses: int) -> int:
    """How many classifiers an experiment asks for, those that it asks for twice included: of ``doses`` doses."""
    tuned = sum(map(len, ALONE.values())) + len(MIXES) + 3
    searched = params.tuning_seeds * (tuned * len(params.tuning) + doses)
    return searched + params.seeds * (len(without_synthetic()) + 2 * params.draws)


def available_doses(pool: Pool, params: ClassifyParams, reason: str | None = None) -> list[float]:
    """The doses of ``params`` that the pool holds.

    Args:
        reason: why the pool holds no more than the exported set, if so.

    Raises:
        UserError: it holds none of them.
    """
    doses = sorted(dose for dose in params.doses if pool.holds(dose, params.draws))
    if not doses:
        raise UserError(
            f"the exported set is too small for {params.draws} draws of the least dose, {min(params.doses)}"
            f"{f' ({reason})' if reason else ''}: raise `export.balance`, lower `classify.draws`, or add a dose of at "
            f"most {1 / params.draws:.2g} to `classify.doses`"
        )
    return doses


def experiment(runner: Runner, params: ClassifyParams, doses: Sequence[float], labels: np.ndarray) -> Experiment:
    """Searches, then trains every chosen arm over all seeds.

    Each arm has the same budget: every pair of ``tuning``, with ``tuning_seeds``. Synthetic images, their control and
    synthetic images alone are tuned at the dose nearest to 1; then the doses are compared.

    Args:
        labels: of the validation split, int64 (N,).
    """
    search = _Search(runner, params, labels)
    alone = _best_by_name(search.tuned(*chain(*ALONE.values())))
    classical = alone["classical"]
    mixed = _best(search.tuned(*(Arm("mixed", replace(classical.arm.recipe, mix=mix)) for mix in MIXES)))
    without = _best([classical, mixed])
    base = without.arm.recipe
    first = min(doses, key=lambda dose: abs(dose - 1))
    dosed = search.tuned(
        Arm("control", base, extra="copies", dose=first),
        Arm("synthetic", base, extra="synthetic", dose=first),
        Arm("synthetic_only", base, images="synthetic", dose=first),
    )
    by_dose = search.compare(*(replace(dosed[1].arm, dose=dose) for dose in doses))
    picked = _best(by_dose).arm.dose
    arms = [tried.arm for tried in (*alone.values(), mixed)]
    arms += [replace(tried.arm, dose=picked) for tried in dosed]
    found = runner.run(*arms, seeds=params.seeds, draws=params.draws)
    results = {arm.name: (arm, predictions) for arm, predictions in zip(arms, found, strict=True)}
    scores = {
        name: balanced_accuracy(answers(results[name][1].val) == labels, labels).mean() for name in without_synthetic()
    }
    return Experiment(results, max(scores, key=lambda name: float(scores[name])), search.tried, [without, *by_dose])


class _Search:
    def __init__(self, runner: Runner, params: ClassifyParams, labels: np.ndarray) -> None:
        self._runner, self._params, self._labels = runner, params, labels
        self.tried: list[Tried] = []

    def compare(self, *arms: Arm) -> list[Tried]:
        """Each arm with the tuning seeds."""
        found = self._runner.run(*arms, seeds=self._params.tuning_seeds, draws=self._params.draws, crossed=False)
        scores = [balanced_accuracy(answers(result.val) == self._labels, self._labels).ravel() for result in found]
        return [Tried(arm, tuple(score.tolist())) for arm, score in zip(arms, scores, strict=True)]

    def tuned(self, *arms: Arm) -> list[Tried]:
        """Each arm with the best of the rates."""
        rates = self._params.tuning
        tried = self.compare(*(replace(arm, lr=lr, weight_decay=decay) for arm in arms for lr, decay in rates))
        self.tried += tried
        return [_best(tried[i * len(rates) : (i + 1) * len(rates)]) for i in range(len(arms))]


def _best(tried: Sequence[Tried]) -> Tried:
    """The first of equals."""
    return max(tried, key=lambda one: one.mean)


def _best_by_name(tried: Sequence[Tried]) -> dict[str, Tried]:
    """The best candidate of each arm, in the arms' order."""
    names = dict.fromkeys(one.arm.name for one in tried)
    return {name: _best([one for one in tried if one.arm.name == name]) for name in names}
