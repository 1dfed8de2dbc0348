"""Real, synthetic and teaching images in; every figure of ``metrics/quality.json`` out."""

import sys
from dataclasses import dataclass
from typing import Any

from gan.seeds import derive
from pipeline.gates import judge
from pipeline.metrics.embedded import Images
from pipeline.metrics.embedders import open_embedders
from pipeline.metrics.embedders.domain import train_domain_embedder
from pipeline.metrics.quality import Measured, Settings, measure
from pipeline.metrics.sharing import Share
from pipeline.params import EvaluateParams

MOST = 10_000  # images a side; more would move no figure and cost the square in time
DIGITS = 6


@dataclass(frozen=True)
class Sets:
    """What is compared; all images are of one shape.

    Attributes:
        classes: names; a label is an index into them.
        teaching: real images that teach the embedder.
        real: held-out ones, which neither the embedder nor the generator has seen.
        synthetic: in the class proportions of ``real``.
        copies: ``teaching`` is what the generator was trained on, so that copies can be told.
        mirror: the kind of :data:`gan.symmetry.SYMMETRIES` under which it was.
    """

    classes: tuple[str, ...]
    teaching: Images
    real: Images
    synthetic: Images
    copies: bool = True
    mirror: str = "none"


def score(sets: Sets, settings: EvaluateParams, seed: int, share: Share) -> Measured:
    """Trains the embedder, measures, and judges the gates.

    Args:
        sets: see there.
        settings: repeats, neighbours, embedders and gates.
        seed: the project's.
        share: who does what takes long.

    Returns:
        Its ``quality`` is the content of ``metrics/quality.json``, to six digits.
    """
    images, labels = sets.teaching
    steps = settings.embedder_steps
    print(f"evaluate: training the embedder, {steps:,} steps on {len(labels):,} images", file=sys.stderr, flush=True)
    domain = train_domain_embedder(
        images, labels, len(sets.classes), steps=steps, seed=derive(seed, "evaluate.embedder")
    )
    others, notes = open_embedders(settings.embedders, settings.weights)
    how = Settings(settings.repeats, settings.neighbours, seed, sets.mirror)
    known = images if sets.copies else None
    measured = measure(sets.real, sets.synthetic, known, sets.classes, domain, others, how, share)
    quality = measured.quality | {"notes": [*measured.quality["notes"], *notes]}
    return measured._replace(quality=_rounded(quality | {"gates": judge(settings.gates, quality)}))


def _rounded(tree: Any) -> Any:
    """Six digits: what lies beyond is noise, and the same figures read the same on the next processor."""
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return float(f"{tree:.{DIGITS}g}") if isinstance(tree, float) else tree
