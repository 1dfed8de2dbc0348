"""Which recipe, rate and dose: everything that is chosen is chosen on the validation split, by equal budgets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.experiment.adjustment import Counts, best_adjusted, class_mass, scores
from pipeline.experiment.arms import ALONE, FLIPS, MIXES, USES, Arm, flipped, mixed, uses, with_head, without_synthetic
from pipeline.experiment.pool import Pool
from pipeline.experiment.runner import Runner
from pipeline.experiment.trial import Predictions
from pipeline.params import ClassifyParams


@dataclass(frozen=True)
class Tried:
    """A candidate and its balanced accuracy on the validation split, one value a tuning seed that it was tried with."""

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
        arms: by name, as they are tested, and their classifiers' logits, adjusted.
        baseline: name of the best arm without synthetic images, on validation.
        tried: every candidate of the search, in order.
        doses: the candidates for the dose, which is chosen last; the first is dose 0, the same recipe without a second
            pass, which stands there to compare with.
    """

    arms: dict[str, tuple[Arm, Predictions]]
    baseline: str
    tried: list[Tried]
    doses: list[Tried]


def trials(params: ClassifyParams, doses: int, alone: bool = True) -> int:
    """How many classifiers an experiment asks for, those that it asks for twice included.

    Args:
        doses: how many are compared.
        alone: whether there is an arm of synthetic images alone.
    """
    sizes = _sizes(params, alone)
    searched = sum(size + params.tuning_seeds * _half(size) * (params.tuning_seeds > 1) for size in sizes)
    return searched + params.tuning_seeds * doses + params.seeds * _tested(params, alone)


def trainings(params: ClassifyParams, doses: int, alone: bool = True) -> int:
    """The same less those that are asked for twice, which are trained once: what the experiment's time goes by."""
    sizes, seeds = _sizes(params, alone), params.tuning_seeds
    searched = sum(size + (seeds - 1) * _half(size) for size in sizes) + seeds * (doses - 1)
    known = seeds * (len(without_synthetic()) + (1 if alone else 0))  # the control may have had another dose
    return searched + params.seeds * _tested(params, alone) - known


def _sizes(params: ClassifyParams, alone: bool) -> list[int]:
    """Candidates of each group of the search."""
    recipes = (*map(len, ALONE.values()), len(FLIPS), len(MIXES), 1, USES, USES, *([1] if alone else []))
    return [count * len(params.tuning) for count in recipes]


def _tested(params: ClassifyParams, alone: bool) -> int:
    """Classifiers of a seed in the end."""
    return len(without_synthetic()) + (2 if alone else 1) * params.draws


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


def experiment(
    runner: Runner, params: ClassifyParams, doses: Sequence[float], counts: Counts, labels: np.ndarray
) -> Experiment:
    """Searches, then trains every chosen arm over all seeds.

    Synthetic images and their control are tuned at the dose nearest to 1; then the doses are compared. What a logit
    adjustment makes of a candidate is what it is judged by.

    Args:
        labels: of the validation split, int64 (N,).
    """
    search = _Search(runner, params, counts, labels)
    alone = dict(zip(ALONE, search.best(*ALONE.values()), strict=True))
    alone["classical"] = _best([alone["classical"], *search.best(flipped(alone["classical"].arm))])
    (mixing,) = search.best(mixed(alone["classical"].arm.recipe))
    without = _best([alone["classical"], mixing])
    base = without.arm.recipe
    first = min(doses, key=lambda dose: abs(dose - 1))
    head, control, synthetic, *only = search.best(
        [Arm("retrained", with_head(base))],
        uses("control", base, "copies", first),
        uses("synthetic", base, "synthetic", first),
        *([[Arm("synthetic_only", base, images="synthetic")]] if counts.alone.any() else []),
    )
    by_dose = search.compare([replace(synthetic.arm, dose=dose) for dose in doses], params.tuning_seeds)
    picked = _best(by_dose).arm.dose
    arms = [tried.arm for tried in (*alone.values(), mixing, head)]
    arms += [replace(tried.arm, dose=picked) for tried in (control, synthetic)] + [tried.arm for tried in only]
    results = {arm.name: (arm, found) for arm, found in search.adjusted(arms, params.seeds, crossed=True)}
    validation = {name: float(scores(results[name][1], labels).mean()) for name in without_synthetic()}
    none = head if synthetic.arm.recipe.head == "retrained" else without
    return Experiment(results, max(validation, key=validation.__getitem__), search.tried, [none, *by_dose])


class _Search:
    def __init__(self, runner: Runner, params: ClassifyParams, counts: Counts, labels: np.ndarray) -> None:
        self._runner, self._params, self._counts, self._labels = runner, params, counts, labels
        self.tried: list[Tried] = []

    def best(self, *groups: Sequence[Arm]) -> list[Tried]:
        """The best candidate of each group, a candidate being an arm with one of the rates.

        By successive halving (Jamieson & Talwalkar 2016), the same for every group: all are tried with the first tuning
        seed, and the better half with the others too.
        """
        rates = self._params.tuning
        rated = [[replace(arm, lr=lr, weight_decay=decay) for arm in group for lr, decay in rates] for group in groups]
        finalists = tried = self._each(rated, 1)
        if self._params.tuning_seeds > 1:
            halves = [[one.arm for one in _better_half(group)] for group in tried]
            finalists = self._each(halves, self._params.tuning_seeds)
            tried = [_replaced(group, again) for group, again in zip(tried, finalists, strict=True)]
        self.tried += [one for group in tried for one in group]
        return [_best(group) for group in finalists]

    def _each(self, groups: Sequence[Sequence[Arm]], seeds: int) -> list[list[Tried]]:
        """:meth:`compare`, of all groups at once."""
        tried = iter(self.compare([arm for group in groups for arm in group], seeds))
        return [[next(tried) for _ in group] for group in groups]

    def compare(self, arms: Sequence[Arm], seeds: int) -> list[Tried]:
        """Each arm with these seeds."""
        return [
            Tried(arm, tuple(scores(found, self._labels).ravel().tolist()))
            for arm, found in self.adjusted(arms, seeds, crossed=False)
        ]

    def adjusted(self, arms: Sequence[Arm], seeds: int, crossed: bool) -> Iterable[tuple[Arm, Predictions]]:
        """Each arm with its τ, and its logits adjusted by that."""
        found = self._runner.run(*arms, seeds=seeds, draws=self._params.draws, crossed=crossed)
        for arm, predictions in zip(arms, found, strict=True):
            mass = class_mass(arm, self._counts, self._params)
            tau, better = best_adjusted(predictions, mass, self._labels)
            yield replace(arm, tau=tau), better


def _half(count: int) -> int:
    return -(-count // 2)


def _better_half(tried: Sequence[Tried]) -> list[Tried]:
    """The first of equals, in their order."""
    ranks = sorted(range(len(tried)), key=lambda i: -tried[i].mean)[: _half(len(tried))]
    return [tried[i] for i in sorted(ranks)]


def _replaced(tried: Sequence[Tried], again: Sequence[Tried]) -> list[Tried]:
    """Those that were tried ``again`` in their places; τ may be another by now."""
    more = {one.arm.key(): one for one in again}
    return [more.get(one.arm.key(), one) for one in tried]


def _best(tried: Sequence[Tried]) -> Tried:
    """The first of equals."""
    return max(tried, key=lambda one: one.mean)
