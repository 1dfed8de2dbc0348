"""The examples in docstrings do what they say."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import augmint
import gan
import pipeline

# what people meet first: each has an example of its own
ENTRY_POINTS = [
    *("gan.augment:augment", "gan.checkpoint:load_generator", "gan.config:Config.of", "gan.losses:Loss"),
    *("gan.networks:build", "gan.penalties:two_sided", "gan.pixels:to_pixels", "gan.real_images:RealImages"),
    *("gan.sampler:Sampler", "gan.seeds:derive", "gan.synthetic_images:SyntheticImages"),
    "gan.trainer:Trainer.on_images",
]
WITH_EXAMPLES = {
    *("pipeline.experiment.accuracies", "pipeline.experiment.effect", "pipeline.experiment.verdict"),
    *("pipeline.export.plan", "pipeline.formats.encoding", "pipeline.gates", "pipeline.identity"),
    *("pipeline.metrics.copies", "pipeline.metrics.frechet", "pipeline.metrics.kid", "pipeline.metrics.manifold"),
    *("pipeline.params.file", "pipeline.store"),
}


def modules() -> Iterator[str]:
    for package in (augmint, gan, pipeline):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith(("pipeline.flows", "pipeline.cli")):  # these start Prefect
                yield found.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.failed == 0
    assert (done.attempted > 0) >= (name in WITH_EXAMPLES), "its example is gone"


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_entry_point_of_gan_has_an_example(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(pkgutil.resolve_name(name), name)
    assert [one for one in found if one.examples]
