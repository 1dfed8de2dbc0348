"""The figures of ``metrics/utility.json``: accuracies and recalls are fractions."""

from dataclasses import asdict
from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.experiment.accuracies import (
    answers,
    balanced_accuracy,
    calibration_error,
    macro_f1,
    probabilities,
    recalls,
    seeds_interval,
)
from pipeline.experiment.adjustment import adjustable, class_mass, counts, offsets, scores
from pipeline.experiment.arms import Arm, without_synthetic
from pipeline.experiment.effect import Effect, estimate, estimate_figure, recall_interval, stratified_weights
from pipeline.experiment.endpoints import BALANCED_ACCURACY, endpoint
from pipeline.experiment.given import compare_splits
from pipeline.experiment.names import describe, title
from pipeline.experiment.pool import Pool
from pipeline.experiment.recommended import PLAIN, Right, outcome, recommend, recommended_arm
from pipeline.experiment.search import Experiment, Tried
from pipeline.experiment.trial import Predictions, tested_rows
from pipeline.experiment.verdict import Bounds, VerdictName, decide
from pipeline.params import Params
from pipeline.store import Store

DIGITS = 6
Tree = dict[str, Any]


def summarise(params: Params, store: Store, pool: Pool, found: Experiment) -> Tree:
    """The verdict and all that it stands on; see docs/verdict.md for what the keys mean."""
    return rounded(_Summary(params, store, pool, found).tree())


class _Summary:
    def __init__(self, params: Params, store: Store, pool: Pool, found: Experiment) -> None:
        self.params, self.store, self.pool, self.found = params, store, pool, found
        self.val, self.test = store.split("val").labels, store.split("test").labels
        self.counts = counts(store, pool)
        self.correct = {name: answers(result.test) == self.test for name, (_, result) in found.arms.items()}
        self.correct_val = {name: answers(result.val) == self.val for name, (_, result) in found.arms.items()}
        self.endpoint = endpoint(params.classify.metric, store.classes)
        self.values: dict[str, np.ndarray] = {}  # of arms in the endpoint, where it is no mean over images

    def tree(self) -> Tree:
        effects = {name: self._gain(name) for name in without_synthetic()}
        comparisons = {name: self._comparison(name, effect) for name, effect in effects.items()}
        baseline, effect = self.found.baseline, effects[self.found.baseline]
        per_class = self._per_class()
        falls = {row["class"]: row["recall_difference"] for row in per_class if row["test"]}
        classify = self.params.classify
        bounds = Bounds(classify.min_effect, classify.max_class_loss, classify.equivalence_margin)
        verdict = decide(effect, falls, title(baseline), bounds, self.endpoint.title)
        arm = self.found.arms["synthetic"][0]
        gained = effect.low > 0
        return {
            "verdict": verdict.name,
            "metric": {"name": self.endpoint.name, "title": self.endpoint.title},
            "sentence": verdict.sentence,
            "recommended": self._recommended(verdict.name, gained),
            "given_splits": self._given_splits(),
            "seeds_to_settle": verdict.seeds_to_settle,
            "smallest_effect": effect.smallest,
            "baseline": baseline,
            "recipe": describe(arm.recipe, arm.tau, arm.own_norms),
            "dose": arm.dose,
            "draws": classify.draws,
            **comparisons[baseline],
            "arms": {name: self._arm(*pair) for name, pair in self.found.arms.items()},
            "comparisons": [{"against": name} | figures for name, figures in comparisons.items()],
            "candidates": [_candidate(tried) for tried in self.found.tried],
            "doses": [_dose(tried, arm.dose, self.pool) for tried in self.found.doses],
            "train_real_test_synthetic": self._on_synthetic(),
            "per_class": per_class,
        }

    def _recommended(self, verdict: VerdictName, gained: bool) -> Tree:
        name = recommended_arm(verdict, self.found.baseline)
        arm, right = self.found.arms[name][0], Right(self.correct_val[name], self.correct[name], self._plain())
        told = recommend(arm, right, outcome(verdict, gained), self._effect, self.store, self.pool)
        return {"arm": name, **told}

    def _plain(self) -> np.ndarray:
        """What plain training gets right as it comes, without the logit adjustment of its arm: (seeds, 1, images)."""
        arm, result = self.found.arms[PLAIN]
        taken = offsets(class_mass(arm, self.counts, self.params.classify), arm.tau)
        return answers(result.test + taken.astype(np.float32)) == self.test

    def _given_splits(self) -> Tree | None:
        name, resamples = self.found.baseline, self.params.classify.bootstrap
        right = self.correct_val[name], self.correct[name]
        found = compare_splits(self.store, *right, seed=self.params.seed, resamples=resamples)
        return found and {"arm": name, **found}

    def _differences(self, against: str) -> np.ndarray:
        """+ synthetic minus ``against``, int8 (seeds, draws, images), paired by seed and image."""
        return self.correct["synthetic"].astype(np.int8) - self.correct[against]

    def _gain(self, against: str) -> Effect:
        """+ synthetic over ``against`` in what the verdict is about."""
        if self.endpoint is BALANCED_ACCURACY:
            return self._effect(self._differences(against), "difference", against)
        rng = np.random.default_rng(derive(self.params.seed, "classify.bootstrap", "difference", against))
        return estimate_figure(self._measured("synthetic") - self._measured(against), rng)

    def _measured(self, arm: str) -> np.ndarray:
        """The endpoint of an arm's classifiers, (seeds, draws, 1 + resamples): as it is, then in resamples of images.

        The resamples are the same for all arms.
        """
        if arm not in self.values:
            rng = np.random.default_rng(derive(self.params.seed, "classify.bootstrap", "resamples"))
            weights = stratified_weights(self.test, self.params.classify.bootstrap, rng)
            both = np.concatenate([np.ones((1, len(self.test))), weights])
            self.values[arm] = self.endpoint(self.found.arms[arm][1].test, self.test, both)
        return self.values[arm]

    def _by_seed(self, against: str) -> np.ndarray:
        """The difference of each seed, the mean over its draws, (seeds,)."""
        if self.endpoint is BALANCED_ACCURACY:
            return balanced_accuracy(self._differences(against).mean(axis=1), self.test)
        return (self._measured("synthetic") - self._measured(against))[..., 0].mean(axis=1)

    def _effect(self, outcomes: np.ndarray, *names: str | int, label: int | None = None) -> Effect:
        rng = np.random.default_rng(derive(self.params.seed, "classify.bootstrap", *names))
        chosen = slice(None) if label is None else self.test == label
        cells = outcomes[..., chosen].astype(np.float64)
        return estimate(cells, self.test[chosen], resamples=self.params.classify.bootstrap, rng=rng)

    def _comparison(self, against: str, effect: Effect) -> Tree:
        over_seeds = seeds_interval(self._by_seed(against))
        return {
            "delta": effect.mean,
            "ci95": effect.within(-1.0),
            "seeds_ci95": [over_seeds.low, over_seeds.high],
        }

    def _arm(self, arm: Arm, result: Predictions) -> Tree:
        correct, classify = self.correct[arm.name], self.params.classify
        accuracies = balanced_accuracy(correct, self.test)
        validation = scores(result, self.val, self.endpoint)
        effect = self._effect(correct, "arm", arm.name)
        cells = list(np.ndindex(*accuracies.shape))
        f1 = {cell: macro_f1(answers(result.test[cell]), self.test) for cell in cells}
        confidence = probabilities(result.test).max(axis=-1)
        errors = [calibration_error(confidence[cell], correct[cell]) for cell in cells]
        seen = arm.images_seen(classify, float((self.counts.synthetic > 0).mean()))
        mass = class_mass(arm, self.counts, classify)
        return {
            "title": title(arm.name),
            "recipe": describe(arm.recipe, arm.tau, arm.own_norms),
            **_parts(arm),
            "tau": arm.tau if adjustable(mass) else None,
            "balanced_accuracy": effect.mean,
            "ci95": effect.within(0.0),
            **self._in_endpoint(arm.name),
            "spread": float(accuracies.mean(axis=1).std(ddof=1)),
            "macro_f1": float(np.mean(list(f1.values()))),
            "calibration_error": float(np.mean(errors)),
            "validation": float(validation.mean()),
            "lr": arm.lr,
            "weight_decay": arm.weight_decay,
            "images_seen": sum(seen.values()),
            "images_seen_by_kind": [{"kind": kind, "images": count} for kind, count in seen.items()],
            "optimizer_steps": classify.steps,
            "seeds": [
                {
                    "seed": cell[0],
                    "draw": cell[1],
                    "balanced_accuracy": float(accuracies[cell]),
                    "macro_f1": f1[cell],
                    "validation": float(validation[cell]),
                }
                for cell in cells
            ],
        }

    def _in_endpoint(self, arm: str) -> Tree:
        """An arm's own figure in the endpoint, where that is another one than its balanced accuracy."""
        if self.endpoint is BALANCED_ACCURACY:
            return {}
        rng = np.random.default_rng(derive(self.params.seed, "classify.bootstrap", "metric", arm))
        effect = estimate_figure(self._measured(arm), rng)
        return {"metric": effect.mean, "metric_ci95": effect.within(0.0)}

    def _per_class(self) -> list[Tree]:
        size, baseline = len(self.store.classes), self.found.baseline
        counts = {name: self.store.split(name).counts(size).tolist() for name in ("train", "test")}
        made = self.pool.wanted(self.found.arms["synthetic"][0].dose).tolist()
        by_arm = {name: recalls(hits, self.test, size).mean(axis=(0, 1)) for name, hits in self.correct.items()}
        rows = []
        for i, name in enumerate(self.store.classes):
            row: Tree = {"class": name, "train": counts["train"][i], "synthetic": made[i], "test": counts["test"][i]}
            row["recall"] = {arm: float(values[i]) if row["test"] else None for arm, values in by_arm.items()}
            row |= {"recall_difference": None, "recall_difference_ci95": None, "recall_ci95": None}
            if row["test"]:
                effect = self._effect(self._differences(baseline), "class", i, label=i)
                row["recall_difference"] = effect.mean
                row["recall_difference_ci95"] = effect.within(-1.0)
                row["recall_ci95"] = {arm: self._recall_ci(arm, i, row["test"]) for arm in (baseline, "synthetic")}
            rows.append(row)
        return rows

    def _recall_ci(self, arm: str, label: int, images: int) -> list[float]:
        return list(recall_interval(self._effect(self.correct[arm], "recall", arm, label, label=label), images))

    def _on_synthetic(self) -> Tree:
        """The best classical classifiers, asked about synthetic images."""
        labels = self.pool.labels[tested_rows(self.pool)]
        accuracies = balanced_accuracy(self.found.arms["classical"][1].synthetic == labels, labels).mean(axis=1)
        ci = seeds_interval(accuracies)
        return {"balanced_accuracy": float(accuracies.mean()), "images": len(labels), "seeds_ci95": [ci.low, ci.high]}


def _candidate(tried: Tried) -> Tree:
    arm = tried.arm
    rates = {"lr": arm.lr, "weight_decay": arm.weight_decay, "tau": arm.tau}
    return {"arm": arm.name, **_parts(arm), **rates, "validation": tried.mean, "seeds": len(tried.validation)}


def _parts(arm: Arm) -> Tree:
    """How it trains, each part by its name."""
    return asdict(arm.recipe) | ({} if arm.extra == "none" else {"own_norms": arm.own_norms})


def _dose(tried: Tried, picked: float, pool: Pool) -> Tree:
    return {
        "dose": tried.arm.dose,
        "images": int(pool.wanted(tried.arm.dose).sum()),
        "validation": tried.mean,
        "seeds": list(tried.validation),
        "picked": tried.arm.dose == picked,
    }


def rounded(node: Any) -> Any:
    """A tree of figures with :data:`DIGITS` decimals: what lies beyond is noise."""
    if isinstance(node, dict):
        return {key: rounded(value) for key, value in node.items()}
    if isinstance(node, list):
        return [rounded(value) for value in node]
    return round(node, DIGITS) if isinstance(node, float) else node
