"""Terms of a generator that are taken now and then, on a batch that may be in parts; see ``LazyTerm``."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from gan.draws import GeneratorDraws
from gan.networks import Family, Network
from gan.networks.family import LazyTerm
from gan.parts import Part


def lazy_terms(family: Family, numbers: Iterable[int]) -> dict[int, LazyTerm]:
    """Those of a family's terms of these numbers that are taken now and then, by number."""
    terms = {number: family.generator_terms[number] for number in numbers}
    return {number: term for number, term in terms.items() if isinstance(term, LazyTerm)}


def value(term: LazyTerm, generator: Network, part: Part, batch: int, mean: Tensor | None) -> tuple[Tensor, Tensor]:
    """What a term adds to the loss of a part, a scalar, and the mean of what it measures, ().

    Args:
        term: it is taken on the first of a batch's images.
        part: of a generator's step; its loss is to be a mean over its images.
        batch: images of the whole batch.
        mean: over all that the term is taken on, of all parts; None where the part is all.
    """
    found = _measured(term, generator, part, batch)
    if mean is None:
        mean = found.detach().mean()
    if not len(found):
        return torch.zeros_like(mean), mean
    counted = len(found) / term.count(batch) / part.weight
    return term.every * counted * term.value(generator, found, mean), mean


def means(terms: Mapping[int, LazyTerm], generator: Network, parts: Iterable[Part], batch: int) -> dict[int, Tensor]:
    """Of each term what these parts add to the mean of what it measures over all parts, ()."""
    sums = {number: torch.zeros((), device=_device(generator)) for number in terms}
    for part in parts:
        for number, term in terms.items():
            sums[number] += _measured(term, generator, part, batch).detach().sum() / term.count(batch)
    return sums


def _measured(term: LazyTerm, generator: Network, part: Part, batch: int) -> Tensor:
    draws: GeneratorDraws = part.draws
    some = part.among_first(term.count(batch), batch)
    if not some:
        return torch.zeros(0, device=_device(generator))
    return term.measure(generator, draws.latents[:some], draws.labels[:some])


def _device(generator: Network) -> torch.device:
    return next(generator.parameters()).device
