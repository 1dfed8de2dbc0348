"""``classify``: trains classifiers with and without the synthetic images, and judges them on real test images."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan.files import sha256
from pipeline.atomic import remove, replacing
from pipeline.binding import changed, generator_files, read_figures, sources, store_files, write_figures
from pipeline.classifier.architectures import build, fingerprint
from pipeline.errors import UserError
from pipeline.experiment.adjustment import counts
from pipeline.experiment.answers import Answers, save_answers
from pipeline.experiment.endpoints import endpoint
from pipeline.experiment.plots import plot_arms, plot_doses, write_arms, write_classes, write_doses
from pipeline.experiment.pool import Pool, make_pool, networks
from pipeline.experiment.runner import Runner, import_ahead
from pipeline.experiment.search import Experiment, available_doses, experiment, trials
from pipeline.experiment.summary import summarise
from pipeline.experiment.trial import TrialSetup
from pipeline.experiment.winner import ship
from pipeline.formats.manifest import MANIFEST
from pipeline.identity import digests, key
from pipeline.params import Params
from pipeline.progress import track
from pipeline.report import page
from pipeline.report.study import study_shown
from pipeline.report.terminal.results import print_utility
from pipeline.runtime import choose_device
from pipeline.store import Store, set_files
from pipeline.wording import listed
from pipeline.workers import open_workers
from pipeline.workspace import Workspace

FEW, VERY_FEW = 50, 20  # train images of a class
# choices that change no single training, so that its finished trials stay good when they are changed
OF_THE_WHOLE = {
    *("seeds", "tuning", "tuning_seeds", "metric", "min_effect", "equivalence_margin", "max_class_loss", "bootstrap"),
}


class Judged(NamedTuple):
    """What came of the experiment.

    Attributes:
        metrics: the content of ``metrics/utility.json``, but for its warnings.
        notes: what must be said of how it was done.
        found: all that was trained.
    """

    metrics: dict[str, Any]
    notes: list[str]
    found: Experiment


def run(params: Params, workspace: Workspace, answers: Path | None = None) -> None:
    """Searches on validation, trains every arm over the same seeds, and tests once.

    Writes ``metrics/utility.json``, ``plots/classify``, the recommended ``classifier/``, and ``report/``, which shows
    what all stages found; prints the table and the verdict.

    Args:
        answers: where to write what every arm's classifiers said of the test images, as a study of folds needs it.

    Raises:
        UserError: no ingested or exported set, or one that cannot be judged.
    """
    store = Store.open(workspace.store)
    _check(store)
    if not open_workers(params.workers, workspace.scratch).elsewhere:
        import_ahead(choose_device(params.classify.device, "classify.device"))
    made_from = utility_sources(params, workspace)
    cache = _open_cache(params, workspace)
    refused = [] if params.classify.force else _small(store)
    metrics, notes, found = judge(params, workspace, store, cache, refused)
    metrics |= {"warnings": [*notes, *_warnings(store, refused)], **study_shown(workspace)}
    if answers:
        save_answers(answers, Answers.of(found, store))
    places = (workspace.metrics("utility"), workspace.plots("classify"), workspace.classifier, workspace.report)
    with replacing(*places) as (figures, plots, classifier, report):
        write_figures(figures, metrics, made_from)
        plots.mkdir()
        write_arms(plots / "arms.csv", metrics["arms"])
        write_classes(plots / "per_class.csv", metrics["per_class"])
        write_doses(plots / "dose.csv", metrics["doses"])
        plot_arms(plots / "arms.png", metrics)
        plot_doses(plots / "dose.png", metrics)
        arm = found.arms[metrics["recommended"]["arm"]][0]
        ship(params, workspace, cache / "pool", arm, metrics, made_from, classifier)
        page.write(params, workspace, report / "index.html", {"metrics/utility.json": figures, "plots/classify": plots})
        print_utility(metrics)
    remove(cache.parent)


def judge(params: Params, workspace: Workspace, store: Store, cache: Path, refused: list[int]) -> Judged:
    """The experiment on the exported set.

    Args:
        cache: where the pool and finished trials lie.
        refused: classes of which no synthetic image is used.
    """
    classify = params.classify
    metric = endpoint(classify.metric, store.classes)
    folders = (cache / "pool", workspace.synthetic, workspace.models)
    seen, largest = classify.steps * classify.batch_size, max(classify.doses)
    reason = make_pool(*folders, store, left_out=refused, largest=largest, draws=classify.draws, seen=seen)
    pool = Pool.open(cache / "pool")
    doses = available_doses(pool, classify, reason)
    build(classify, workspace.root, len(store.classes), store.channels, store.image_size, seed=0)  # fails early
    setup = TrialSetup(workspace.root, workspace.store, cache / "pool", classify)
    with (
        track(trials(classify, len(doses), bool(pool.alone.any())), "classify", "classifiers") as progress,
        open_workers(params.workers, workspace.scratch) as workers,
        Runner(params.seed, setup, cache, progress, workers) as runner,
    ):
        found = experiment(runner, classify, doses, counts(store, pool), store.split("val").labels, metric)
    left = ", ".join(f"{dose:g}" for dose in sorted(set(classify.doses) - set(doses)))
    notes = [f"doses left out, as {reason or 'its draws are uneven'}: {left}"] if left else []
    if not pool.alone.any():
        few = listed([store.classes[i] for i in refused or np.flatnonzero(pool.unit < classify.draws)])
        why = f"none of {few} are used" if refused else f"there are not enough of {few}, and {reason}"
        notes.append(f"no classifier was trained on synthetic images alone, as {why}")
    if classify.draws == 1 or networks(workspace.models) % classify.draws or not networks(workspace.models):
        notes.append(
            "the draws differ by their latents, not by their generators: the interval does not hold what another "
            "training of the generator would give; for a claim set train.seeds and classify.draws to 3"
        )
    metrics = summarise(params, store, pool, found)
    if (given := metrics["given_splits"]) and given["differ"]:
        notes.append(given["sentence"])
    return Judged(metrics, notes + of_one_split(metrics["verdict"]), found)


def of_one_split(verdict: str) -> list[str]:
    """What a sure verdict is not sure of; found in the studies of docs/results.md."""
    if verdict not in ("HELPS", "HURTS"):
        return []
    return ["the interval is of this one split: another may say otherwise, which `augmint study` tells"]


def utility_sources(params: Params, workspace: Workspace) -> list[dict[str, str]]:
    """Everything that the verdict depends on, as it is by now.

    Raises:
        UserError: the classifier's module or weights are not there.
    """
    choices = params.classify.model_dump(mode="json") | {"fingerprint": fingerprint(params.classify, workspace.root)}
    files = (*store_files(workspace), workspace.synthetic / MANIFEST, *generator_files(workspace))
    return sources(workspace, *files, seed=params.seed, classify=choices)


def current(params: Params, workspace: Workspace) -> dict[str, Any] | None:
    """The finished ``metrics/utility.json``, if it is there and belongs to these parameters and these images.

    Raises:
        UserError: it is there, and was edited or is damaged.
    """
    if not os.path.lexists(workspace.metrics("utility")):
        return None
    utility = read_figures(workspace, "utility")
    return None if changed(utility, utility_sources(params, workspace)) else utility


def verdict(workspace: Workspace) -> str:
    """The finished verdict: HELPS, HURTS, EQUIVALENT or INCONCLUSIVE.

    Raises:
        UserError: there is none, or it was edited or is damaged.
    """
    return str(read_figures(workspace, "utility")["verdict"])


def _digest(params: Params, workspace: Workspace) -> str:
    choices = params.classify.model_dump(exclude=OF_THE_WHOLE)
    found = hashlib.sha256(json.dumps([params.seed, choices], sort_keys=True).encode())
    found.update(fingerprint(params.classify, workspace.root).encode())
    for path in (
        *set_files(workspace.store),
        workspace.synthetic / MANIFEST,
    ):
        if not path.is_file():
            raise UserError(f"{path}: not there; run `dvc repro classify`, which makes what it needs first")
        found.update(sha256(path).encode())
    return found.hexdigest()


def _open_cache(params: Params, workspace: Workspace) -> Path:
    """The folder of finished trials that belong to these images, generators, parameters and this torch; others go."""
    inputs = _digest(params, workspace)
    cache = workspace.scratch / "classify" / key(inputs=inputs, models=digests(workspace.models))[:16]
    cache.mkdir(parents=True, exist_ok=True)
    for other in cache.parent.iterdir():
        if other != cache:
            remove(other)
    return cache


def _check(store: Store) -> None:
    for name in ("val", "test"):
        if not len(store.split(name)):
            raise UserError(f"{store.folder}: the {name} split is empty; raise `data.{name}_fraction` in params.yaml")
    counts = store.split("train").counts(len(store.classes))
    if not counts.all():
        missing = store.classes[int(counts.argmin())]
        raise UserError(
            f"{store.folder}: class {missing!r} has no train image; add some, or lower the other splits' fractions"
        )


def _small(store: Store) -> list[int]:
    """Classes with so few train images that a generator repeats these few, and a verdict on them is luck."""
    return np.flatnonzero(store.split("train").counts(len(store.classes)) < VERY_FEW).tolist()


def _warnings(store: Store, refused: list[int]) -> list[str]:
    size = len(store.classes)
    train, test = store.split("train").counts(size), store.split("test").counts(size)
    left_out = np.isin(np.arange(size), refused)
    few = f"fewer than {VERY_FEW} train images: a generator can hardly learn these classes"
    notes = (
        (left_out, f"{few}, so that none of their synthetic images is used (classify.force: true uses them)"),
        ((train < VERY_FEW) & ~left_out, f"{few}; used all the same, as classify.force says"),
        (
            (train >= VERY_FEW) & (train < FEW),
            f"fewer than {FEW} train images: generated images of such classes often hurt",
        ),
        (test < VERY_FEW, f"fewer than {VERY_FEW} test images: the recall of these classes is coarse"),
    )
    return [
        f"{text}: {listed([store.classes[i] for i in np.flatnonzero(which)])}" for which, text in notes if which.any()
    ]
