"""Where a set's images come from: the store's real ones, and the generator's, judged by the filters that are on."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan.checkpoint import WeightsError, load_critic
from gan.networks import Network
from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import features
from pipeline.errors import UserError
from pipeline.export.filters import Confidence, Copies, CriticRank, Filter, Filters, Manifold
from pipeline.export.plan import Plan
from pipeline.formats.manifest import Origin
from pipeline.generator import open_generator, remedy
from pipeline.metrics.embedders.domain import train_domain_embedder
from pipeline.params import Params
from pipeline.reading.documents import again, fault
from pipeline.runtime import one_thread
from pipeline.store import Split, SplitName, Store
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Ingredients:
    """All that a set is made from.

    Attributes:
        plan: how many images of what.
        real: the splits whose images are written.
        sampler: draws the synthetic images.
        generator: SHA-256 of the generator's weights.
        filters: judge the proposals.
        min_acceptance: the least share of each class that the filters must pass.
        origin: what the generator was fine-tuned from, if it was.
    """

    plan: Plan
    real: Mapping[SplitName, Split]
    sampler: Sampler
    generator: str
    filters: Filters
    min_acceptance: float
    origin: Origin | None

    def real_rows(self, size: int) -> Iterator[tuple[SplitName, np.ndarray]]:
        """The rows of the real images in the set's order, split by split and class by class, up to ``size`` at once."""
        for name, split in self.real.items():
            rows = np.argsort(split.labels, kind="stable")
            for start in range(0, len(rows), size):
                yield name, rows[start : start + size]


def open_ingredients(params: Params, workspace: Workspace, store: Store, plan: Plan) -> Ingredients:
    """Opens the generator, and makes the filters ready.

    The images are drawn on the CPU whatever device the generator was trained on, so that a machine without a GPU can
    make each of them again.

    Raises:
        UserError: no usable generator, one of another set, or a filter that cannot be had; see :func:`open_filters`.
    """
    generator, card = open_generator(workspace.models, store)
    sampler = Sampler(generator, derive(params.seed, "export.latent"), truncation=params.export.truncation)
    labels = [label for label, count in enumerate(plan.wanted) if count]
    with one_thread():
        filters = open_filters(params, workspace.models, store, sampler, labels, card.get("mirror", "none"))
    real = {name: store.split(name) for name in plan.real}
    return Ingredients(plan, real, sampler, card["sha256"], filters, params.export.min_acceptance, _origin(card))


def open_filters(
    params: Params, models: Path, store: Store, sampler: Sampler, labels: list[int], mirror: str
) -> Filters:
    """The filters that are on, taught by the train split alone.

    Args:
        models: where the critic is.
        labels: the classes that will be judged.
        mirror: ``train.mirror`` of the generator.

    Raises:
        UserError: no usable critic for the filter that ranks by it, or a class too small for a filter.
    """
    settings, train = params.export.filters, store.split("train")
    on: dict[str, Filter] = {}
    classifier = _classifier(params, train, len(store.classes))
    if settings.confidence is not None:
        on["confidence"] = Confidence(*settings.confidence)
    if settings.manifold and classifier is not None:
        on["manifold"] = Manifold(features(classifier, train.images), train.labels, store.classes, settings.manifold)
    if settings.copies:
        rng = np.random.default_rng(derive(params.seed, "export.copies"))
        on["copies"] = Copies(train.images, settings.copies, rng, mirror)
    if settings.critic:
        on["critic"] = CriticRank(_critic(models), sampler, labels, settings.critic)
    return Filters(on, classifier)


def _classifier(params: Params, train: Split, classes: int) -> SmallResNet | None:
    settings = params.export.filters
    if settings.confidence is None and not settings.manifold:
        return None
    print(f"export: training the filters' classifier, {settings.steps:,} steps", file=sys.stderr, flush=True)
    seed = derive(params.seed, "export.classifier")
    return train_domain_embedder(train.images, train.labels, classes, steps=settings.steps, seed=seed).network


def _origin(card: dict[str, Any]) -> Origin | None:
    if "init_from" not in card:
        return None
    try:
        return Origin.model_validate_json(json.dumps(card["init_from"]))
    except ValueError as error:
        raise UserError(f"models/generator.json: init_from: {fault(error)}; {again('train')}") from None


def _critic(models: Path) -> Network:
    try:
        return load_critic(models)[0]
    except WeightsError as error:
        raise UserError(f"{error}; export.filters.critic needs it: {remedy(error)}, or set critic: 0") from None
