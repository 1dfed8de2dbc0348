"""What all folds say together: ``metrics/study.json``. Figures are fractions: 0.01 is one point."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.errors import UserError
from pipeline.experiment.accuracies import recalls
from pipeline.experiment.answers import ANSWERS, Answers, load_answers
from pipeline.experiment.arms import without_synthetic
from pipeline.experiment.effect import stratified_weights
from pipeline.experiment.endpoints import BALANCED_ACCURACY, Endpoint
from pipeline.experiment.names import title
from pipeline.experiment.summary import rounded
from pipeline.experiment.verdict import Bounds
from pipeline.params import Params
from pipeline.store import Store
from pipeline.study.answer import Answer, decide
from pipeline.study.folds import Fold, all_folds, notes, read_groups
from pipeline.study.plan import planned, primary, rare_classes, secondary
from pipeline.study.records import FoldRecord, read_fold
from pipeline.study.resampled import (
    Resampled,
    chances,
    exact_lower,
    group_deviations,
    holm,
    resampled,
    together,
)
from pipeline.workspace import Workspace

Tree = dict[str, Any]
LEAST = 3  # folds of which a spread can be told


@dataclass(frozen=True)
class Finished:
    """A fold, what its classifiers said, and of which images of the store."""

    fold: Fold
    answers: Answers
    rows: np.ndarray
    record: FoldRecord

    def value(self, arm: str, one: Endpoint) -> float:
        """An endpoint of an arm, the mean over its classifiers."""
        return float(one(self.answers.scores[arm], self.answers.labels).mean())

    def right(self, arm: str) -> np.ndarray:
        """The share of an arm's classifiers that are right, of each test image."""
        told = self.answers.scores[arm].argmax(axis=-1)
        return (told == self.answers.labels).mean(axis=(0, 1))

    def arm(self, name: str) -> str:
        """``baseline`` stands for the one that this fold chose on validation."""
        return self.answers.baseline if name == "baseline" else name


def summarise(params: Params, workspace: Workspace) -> Tree:
    """The study's verdict and all that it stands on; see docs/study.md for what the keys mean.

    Raises:
        UserError: a fold is missing or damaged.
    """
    store = Store.open(workspace.store)
    folds = [_read(workspace, fold) for fold in all_folds(params.study)]
    return rounded(_Summary(params, store, folds).tree())


def _read(workspace: Workspace, fold: Fold) -> Finished:
    folder = workspace.fold(str(fold))
    answers, record = load_answers(folder / ANSWERS), read_fold(folder)
    return Finished(fold, answers, record.rows, record)


class _Summary:
    def __init__(self, params: Params, store: Store, folds: list[Finished]) -> None:
        self.params, self.store, self.folds = params, store, folds
        self.groups, self.labels = read_groups(store), store.labels
        self.endpoint = primary(params, store)
        tested = np.array([len(fold.rows) for fold in folds])
        self.ratio = float((tested / (len(self.labels) - tested)).mean())

    def tree(self) -> Tree:
        classify = self.params.classify
        answer, t, noise = self._compared("baseline")
        images = np.quantile(noise, [0.025, 0.975]) + answer.mean
        per_class = self._per_class()
        falls = {row["class"]: row["recall_difference"] for row in per_class if row["recall_difference"] is not None}
        bounds = Bounds(classify.min_effect, classify.max_class_loss, classify.equivalence_margin)
        verdict = decide(answer, falls, self.endpoint, bounds)
        margin = classify.equivalence_margin
        likely = chances(t, margin)
        return {
            "verdict": verdict.name,
            "sentence": verdict.sentence,
            "endpoint": {"name": self.endpoint.name, "title": self.endpoint.title},
            "folds": self.params.study.folds,
            "repeats": self.params.study.repeats,
            "images": len(self.labels),
            **_figures(answer),
            "corrected_t_ci95": [t.mean - t.half_width, t.mean + t.half_width],
            "images_ci95": images.tolist(),
            "smallest_effect": answer.reach.smallest,
            "chances": {"gain": likely.gain, "within": likely.within, "loss": likely.loss, "margin": margin},
            "comparisons": [{"against": name} | _figures(self._compared(name)[0]) for name in without_synthetic()],
            "arms": {name: self._arm(name) for name in self.folds[0].answers.scores},
            "second_endpoints": self._second(),
            "rare_classes": [self.store.classes[label] for label in rare_classes(self.store)],
            "per_class": per_class,
            "by_fold": [self._fold(fold) for fold in self.folds],
            "warnings": self._warnings(),
        }

    def _gains(self, against: str, one: Endpoint) -> np.ndarray:
        """What the synthetic images gain in each fold, (J,); better is above 0, NaN where it cannot be computed."""
        sign = -1.0 if one.lower_is_better else 1.0
        found = [fold.value("synthetic", one) - fold.value(fold.arm(against), one) for fold in self.folds]
        return sign * np.array(found)

    def _compared(self, against: str) -> tuple[Answer, Resampled, np.ndarray]:
        """The gain with its interval, the corrected t, and what images alone make of it."""
        gains = self._gains(against, self.endpoint)
        known, noise = gains[np.isfinite(gains)], self._image_noise(against)
        if len(known) < LEAST:
            raise UserError(
                f"classify.metric: {self.endpoint.name} can be computed in {len(known)} of {len(gains)} folds, as the "
                "others test no image of its class; lower study.folds, or choose another metric"
            )
        rng = np.random.default_rng(derive(self.params.seed, "study.interval", against))
        reach = together(known, noise, self.ratio, self.params.study.folds, rng)
        return Answer(float(known.mean()), reach), resampled(known, self.ratio), noise

    def _image_noise(self, against: str) -> np.ndarray:
        """How far other test images would move the mean gain, (resamples,)."""
        resamples = self.params.classify.bootstrap
        rng = np.random.default_rng(derive(self.params.seed, "study.bootstrap", against))
        if self.endpoint is BALANCED_ACCURACY:
            return group_deviations(self._out_of_fold(against), self.labels, self.groups, resamples, rng)
        noise = np.zeros(resamples)
        for fold in self.folds:  # in each by itself, as ranks of several classifiers do not mix
            groups = np.unique(self.groups[fold.rows], return_index=True, return_inverse=True)
            weights = stratified_weights(fold.answers.labels[groups[1]], resamples, rng)[:, groups[2]]
            values = self._resampled(fold, "synthetic", weights) - self._resampled(fold, fold.arm(against), weights)
            noise += (values - values.mean()) / len(self.folds)
        return noise * np.sqrt(self.params.study.repeats)  # repeats are of the same images

    def _resampled(self, fold: Finished, arm: str, weights: np.ndarray) -> np.ndarray:
        return self.endpoint(fold.answers.scores[arm], fold.answers.labels, weights).mean(axis=(0, 1))

    def _out_of_fold(self, against: str) -> np.ndarray:
        """+ synthetic right less ``against`` right, of each image by what its own folds say, the mean over repeats."""
        total = np.zeros(len(self.labels))
        for fold in self.folds:
            total[fold.rows] += fold.right("synthetic") - fold.right(fold.arm(against))
        return total / self.params.study.repeats

    def _second(self) -> list[Tree]:
        found = []
        for one in secondary(self.params, self.store):
            gains = self._gains("baseline", one)
            values = {
                name: float(np.nanmean([fold.value(fold.arm(name), one) for fold in self.folds]))
                for name in ("baseline", "synthetic")
            }
            known = gains[np.isfinite(gains)]
            t = resampled(known, self.ratio) if len(known) >= LEAST else None
            row: Tree = {"name": one.name, "title": one.title, "better": "lower" if one.lower_is_better else "higher"}
            row |= {**values, "gain": None, "ci95": None, "p": 1.0, "folds": len(known)}
            if t:
                row |= {"gain": t.mean, "ci95": [t.mean - t.half_width, t.mean + t.half_width], "p": t.p_value()}
            found.append(row)
        for row, adjusted in zip(found, holm([row["p"] for row in found]), strict=True):
            row["p_holm"] = adjusted
        return found

    def _arm(self, name: str) -> Tree:
        values = [fold.value(name, self.endpoint) for fold in self.folds]
        chosen = sum(fold.answers.baseline == name for fold in self.folds)
        return {
            "title": title(name),
            "value": float(np.nanmean(values)),
            "by_fold": [value if np.isfinite(value) else None for value in values],
            "baseline_in_folds": chosen,
        }

    @cached_property
    def _share_right(self) -> Mapping[str, np.ndarray]:
        found = {name: np.zeros(len(self.labels)) for name in ("baseline", "synthetic")}
        for fold in self.folds:
            for name, total in found.items():
                total[fold.rows] += fold.right(fold.arm(name)) / self.params.study.repeats
        return found

    def _per_class(self) -> list[Tree]:
        size = len(self.store.classes)
        by_class = {name: recalls(right, self.labels, size) for name, right in self._share_right.items()}
        hits = {name: self._groups_right(name) for name in by_class}
        rows = []
        for label, name in enumerate(self.store.classes):
            recall = {arm: float(values[label]) for arm, values in by_class.items()}
            counts = {arm: [int(found[label].sum()), len(found[label])] for arm, found in hits.items()}
            rows.append(
                {
                    "class": name,
                    "images": int((self.labels == label).sum()),
                    "recall": recall,
                    "recall_difference": recall["synthetic"] - recall["baseline"],
                    "right_of": counts,
                    "at_least": {arm: exact_lower(*pair) for arm, pair in counts.items()},
                }
            )
        return rows

    def _groups_right(self, arm: str) -> list[np.ndarray]:
        """Of each class: whether all images of a group are right by the first classifier of the fold that tests it.

        One answer an image, and near duplicates as one: else the binomial distribution would not hold.
        """
        right = np.ones(len(self.labels), bool)
        for fold in self.folds:
            if fold.fold.repeat == 0:
                first = fold.answers.scores[fold.arm(arm)][0, 0].argmax(axis=-1)
                right[fold.rows] = first == fold.answers.labels
        found = []
        for label in range(len(self.store.classes)):
            own = self.labels == label
            _, number = np.unique(self.groups[own], return_inverse=True)
            found.append(np.bincount(number, weights=~right[own]) == 0)
        return found

    def _fold(self, fold: Finished) -> Tree:
        values = {name: fold.value(fold.arm(name), self.endpoint) for name in ("baseline", "synthetic")}
        shown = {name: value if np.isfinite(value) else None for name, value in values.items()}
        gain = values["synthetic"] - values["baseline"]
        return {
            "fold": str(fold.fold),
            "baseline_arm": fold.answers.baseline,
            **shown,
            "gain": gain if np.isfinite(gain) else None,
            "images": fold.record.images,
            "gates_failed": fold.record.gates_failed,
            "verdict": fold.record.verdict,
        }

    def _warnings(self) -> list[str]:
        found = list(notes(self.store, self.groups, self.params.study.folds))
        failed = [str(fold.fold) for fold in self.folds if fold.record.gates_failed]
        if failed:
            found.append(f"a gate failed in fold {', '.join(failed)}; the fold was judged all the same")
        if any(fold.record.planned != planned(self.params, self.store) for fold in self.folds):
            found.append("the endpoints are not those that were named before the folds were trained")
        found += joined_splits(self.store)
        if self.params.data.long_tail:
            found.append("images that data.long_tail set aside in ingest are no part of the study")
        return found


def joined_splits(store: Store) -> list[str]:
    """A word about splits that came with the source, which a study does not keep."""
    given = (store.summary.get("ingest") or {}).get("given_splits")
    if not given:
        return []
    return [
        f"the source gives its own splits ({', '.join(given)}); the study joins them, so that it speaks of images like "
        "all of these, not of the given test split"
    ]


def _figures(answer: Answer) -> Tree:
    return {"delta": answer.mean, "ci95": [answer.low, answer.high]}
