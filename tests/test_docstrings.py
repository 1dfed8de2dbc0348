"""The examples in docstrings do what they say."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import gan
import pipeline

WITH_EXAMPLES = {
    *("gan.augment", "gan.checkpoint", "gan.config", "gan.losses", "gan.networks", "gan.penalties", "gan.pixels"),
    *("gan.real_images", "gan.sampler", "gan.seeds", "gan.synthetic_images", "gan.trainer"),
    *("pipeline.experiment.accuracies", "pipeline.experiment.effect", "pipeline.experiment.verdict"),
    *("pipeline.export.plan", "pipeline.formats.encoding", "pipeline.gates", "pipeline.identity"),
    *("pipeline.metrics.copies", "pipeline.metrics.frechet", "pipeline.metrics.kid", "pipeline.metrics.manifold"),
    *("pipeline.params", "pipeline.store"),
}


def modules() -> Iterator[str]:
    for package in (gan, pipeline):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith(("pipeline.flows", "pipeline.cli")):  # these start Prefect
                yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.failed == 0
    assert (done.attempted > 0) >= (name in WITH_EXAMPLES), "its example is gone"
