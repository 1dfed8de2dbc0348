"""What a study is to find out, written down before anything is trained: ``study/plan.json``."""

from typing import Any

import numpy as np

from pipeline.atomic import replacing, write_json
from pipeline.experiment.endpoints import (
    BALANCED_ACCURACY,
    BRIER,
    WORST_CLASS_RECALL,
    Endpoint,
    average_precision,
    endpoint,
    mean_of,
    recall_at,
)
from pipeline.params import Params
from pipeline.stages.classify import FEW
from pipeline.store import Store
from pipeline.workspace import Workspace

FALSE_ALARMS = (0.01, 0.05)


def primary(params: Params, store: Store) -> Endpoint:
    """What the verdict is about: ``classify.metric``."""
    return endpoint(params.classify.metric, store.classes)


def rare_classes(store: Store) -> list[int]:
    """Those of fewer than :data:`FEW` train images."""
    return np.flatnonzero(store.split("train").counts(len(store.classes)) < FEW).tolist()


def secondary(params: Params, store: Store) -> list[Endpoint]:
    """The further endpoints, each a mean over the rare classes or over all, so that few tests share the 5 %."""
    rare = [(label, store.classes[label]) for label in rare_classes(store)]
    found = []
    if rare:
        for allowed in FALSE_ALARMS:
            title = f"recall of the rare classes at {allowed * 100:g} % false alarms"
            found.append(mean_of(f"rare_recall@{allowed:g}", title, [recall_at(*one, allowed) for one in rare]))
        precisions = [average_precision(*one) for one in rare]
        found.append(mean_of("rare_average_precision", "average precision of the rare classes", precisions))
    found += [BRIER, WORST_CLASS_RECALL]
    main = primary(params, store)
    return found if main.name == BALANCED_ACCURACY.name else [BALANCED_ACCURACY, *found]


def planned(params: Params, store: Store) -> list[str]:
    """The names of all endpoints, the first one that of the verdict."""
    return [one.name for one in (primary(params, store), *secondary(params, store))]


def write_plan(params: Params, workspace: Workspace, store: Store) -> None:
    """Writes the plan; the same parameters and images give the same bytes."""
    plan = {
        "folds": params.study.folds,
        "repeats": params.study.repeats,
        "endpoint": _told(primary(params, store)),
        "second_endpoints": [_told(one) for one in secondary(params, store)],
        "second_endpoints_by": "corrected resampled t in each, their p-values adjusted by Holm's method",
        "rare_classes": [store.classes[label] for label in rare_classes(store)],
        "rare_below": FEW,
        "interval": "95 %: a bootstrap of groups of images, and what the folds differ beyond it by the corrected t",
        "margin": params.classify.equivalence_margin,
        "min_effect": params.classify.min_effect,
        "max_class_loss": params.classify.max_class_loss,
    }
    with replacing(workspace.study / "plan.json") as (path,):
        write_json(path, plan)


def _told(one: Endpoint) -> dict[str, Any]:
    return {"name": one.name, "title": one.title, "better": "lower" if one.lower_is_better else "higher"}
