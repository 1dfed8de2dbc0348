"""The recommended classifier, trained once more and written down: the best seed on validation."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.binding import sources
from pipeline.classifier.architectures import fingerprint
from pipeline.classifier.head import head_steps
from pipeline.classifier.shipped import images_taken, save_shipped
from pipeline.classifier.training import WARM_UP, second_steps
from pipeline.experiment.adjustment import class_mass, counts, offsets
from pipeline.experiment.arms import Arm
from pipeline.experiment.pool import Pool
from pipeline.experiment.recommended import PLAIN
from pipeline.experiment.trial import Cell, TrialSetup, train_networks
from pipeline.formats.manifest import MANIFEST, read_about
from pipeline.params import ClassifyParams, Params
from pipeline.provenance import version
from pipeline.runtime import one_thread
from pipeline.store import Store
from pipeline.workspace import Workspace

DIGITS = 9
Tree = dict[str, Any]


def ship(
    params: Params,
    workspace: Workspace,
    images: Path,
    arm: Arm,
    utility: Mapping[str, Any],
    made_from: list[dict[str, str]],
    folder: Path,
) -> None:
    """Trains the best seed of ``arm`` once more, to the same weights as in its trial, and writes it into ``folder``.

    Trials keep no weights: of a large network those of some hundred trials would fill a disk. One seed ships and not
    the mean of all, because its accuracy is known, and any tool can load a single network.

    Args:
        images: the folder of the synthetic ones that trials draw from.
        arm: the recommended one, as it was tested.
        utility: the content of ``metrics/utility.json``.
        made_from: what that was computed from.
    """
    store, pool, best = Store.open(workspace.store), Pool.open(images), utility["recommended"]["best_seed"]
    setup = TrialSetup(workspace.root, workspace.store, images, params.classify)
    with one_thread():
        (network,) = train_networks([Cell(arm, derive(params.seed, "classify", best["seed"]), best["draw"])], setup)
    taken = images_taken(params.data, store.image_size, store.channels, store.grey_range)
    architecture = {
        "classifier": params.classify.classifier,
        "width": params.classify.width,
        "module": "" if params.classify.weights else fingerprint(params.classify, workspace.root),
    }
    content = {
        "arm": arm.name,
        "recipe": utility["recommended"]["recipe"],
        "classes": list(store.classes),
        "images": taken,
        "architecture": architecture,
        "logit_offsets": _logit_offsets(arm, params.classify, store, pool),
        "training": training(arm, params.classify, pool),
        "accuracy": _accuracy(utility),
        "seed": best["seed"],
        "draw": best["draw"],
        "licence": read_about(workspace.synthetic / MANIFEST).licence,
        "augmint": version(),
    }
    save_shipped(folder, network, content, [*made_from, *sources(workspace, data=taken)])


def training(arm: Arm, params: ClassifyParams, pool: Pool) -> Tree:
    """Everything that `augmint recipe` has to know of how an arm trains, for JSON."""
    return {
        **asdict(arm.recipe),
        "lr": arm.lr,
        "weight_decay": arm.weight_decay,
        "tau": arm.tau,
        "steps": params.steps,
        "head_steps": head_steps(params.steps) if arm.recipe.head == "retrained" else 0,
        "warm_up": WARM_UP,
        "batch_size": params.batch_size,
        "weights": params.weights,
        "second_pass": None if arm.extra == "none" else _second_pass(arm, params, pool),
    }


def _logit_offsets(arm: Arm, params: ClassifyParams, store: Store, pool: Pool) -> list[float]:
    mass = class_mass(arm, counts(store, pool), params)
    return [round(value, DIGITS) + 0.0 for value in offsets(mass, arm.tau).tolist()]  # no -0.0


def _second_pass(arm: Arm, params: ClassifyParams, pool: Pool) -> Tree:
    return {
        "images": arm.extra,
        "dose": arm.dose,
        "by_class": pool.wanted(arm.dose).tolist(),
        "exported": pool.unit.tolist(),
        "batch_size": params.second_batch,
        "weight": params.synthetic_weight,
        "steps": second_steps(params.steps, params.synthetic_until),
        "alone": params.pretrain,
        "own_norms": arm.own_norms,
        "copies_share": params.copies_share if arm.extra == "synthetic" else 1.0,
    }


def _accuracy(utility: Mapping[str, Any]) -> Tree:
    """Balanced accuracies: of the arm over its seeds, of plain training, and of the seed that ships."""
    recommended = utility["recommended"]
    arm, best = utility["arms"][recommended["arm"]], recommended["best_seed"]
    (own,) = [row for row in arm["seeds"] if (row["seed"], row["draw"]) == (best["seed"], best["draw"])]
    return {
        "test": arm["balanced_accuracy"],
        "test_ci95": arm["ci95"],
        "plain_test": utility["arms"][PLAIN]["balanced_accuracy"],
        "seeds": int(np.unique([row["seed"] for row in arm["seeds"]]).size),
        "seed_validation": own["validation"],
        "seed_test": own["balanced_accuracy"],
    }
