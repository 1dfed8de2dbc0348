"""All figures of a synthetic set, each beside what unseen real images score in its place."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gan.seeds import derive
from pipeline.metrics.bias import bias
from pipeline.metrics.classes import class_rows, fidelity_rows, missing_classes
from pipeline.metrics.comparison import Comparison
from pipeline.metrics.copies import EXPECTED, copy_share, copy_threshold, share, status
from pipeline.metrics.copy_statistic import cell_centres, copy_statistic
from pipeline.metrics.distances import nearest
from pipeline.metrics.drift import mean_shift
from pipeline.metrics.embedded import Embedded, Images, embed, exact_duplicates
from pipeline.metrics.embedders import Embedder
from pipeline.metrics.embedders.domain import DomainEmbedder
from pipeline.metrics.embedders.inception import InceptionEmbedder
from pipeline.metrics.fidelity import Features, compare
from pipeline.metrics.floors import Repeat, below, floor
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.kid import kid
from pipeline.metrics.resampling import Subsets, subsets, widening
from pipeline.metrics.sharing import HERE, Embedding, Share
from pipeline.progress import track
from pipeline.wording import listed

FRECHET_LEAST = 500
FRECHET_NAMES = ("frechet_distance", "fid")
SPACES = ("pixel", "feature")
MIRRORED = "Copies are looked for among the mirror images of the training images too, as train.mirror has them."

BY_DOMAIN: dict[str, Callable[[Embedded, Embedded], float]] = {
    "label_agreement": lambda candidate, _: float((candidate.predicted == candidate.labels).mean()),
    "intensity_drift": lambda candidate, reference: mean_shift(candidate.tones, reference.tones),
    "spectrum_drift": lambda candidate, reference: mean_shift(candidate.spectra, reference.spectra),
}
"""Figures of one set against another that the domain embedder alone can give; each stands in ``pipeline.figures``."""


class Settings(NamedTuple):
    """How often and by how many neighbours is compared, the project's seed, and the symmetry of what was learnt from.

    ``mirror`` is ``train.mirror``: a copy may be drawn mirrored, so that train images are near under that symmetry too.
    """

    repeats: int
    neighbours: int
    seed: int
    mirror: str = "none"


class Measured(NamedTuple):
    """The content of ``metrics/quality.json``, and what it was taken from, for pictures."""

    quality: dict[str, Any]
    real: Embedded
    synthetic: Embedded


def measure(
    real: Images,
    synthetic: Images,
    train: np.ndarray | None,
    classes: Sequence[str],
    domain: DomainEmbedder,
    others: Sequence[Embedder],
    settings: Settings,
    sharing: Share = HERE,
) -> Measured:
    """Measures synthetic images against held-out real ones.

    The reference of every comparison is held-out too and not from the train split: the embedder learnt the train split
    by heart, so that its features there are no measure of unseen images.

    Args:
        real: held-out images, which taught neither generator nor embedder.
        synthetic: in the same class proportions.
        train: the images that the generator learnt from, uint8 (M, C, S, S); without them nothing is said of copies.
        classes: their names.
        others: further embedders, whose figures come beside.
        sharing: who does what takes long; this process if left out.

    Raises:
        ValueError: half of the real images, or all synthetic ones, are no more than ``settings.neighbours``.
    """
    train_features = None if train is None else sharing.kept("features", Embedding(domain, train).shared(sharing))
    with track(len(real.labels) + len(synthetic.labels), "evaluate: embedding", "images") as progress:
        held_out, drawn = (
            embed(shown, domain, train, train_features, settings.mirror, sharing, progress.advance)
            for shown in (real, synthetic)
        )
    samples = [
        subsets(real.labels, synthetic.labels, np.random.default_rng(derive(settings.seed, "evaluate.repeat", repeat)))
        for repeat in range(settings.repeats)
    ]
    quality = summarise(held_out, drawn, classes, samples, settings.neighbours, sharing)
    quality["embedder"] = domain.name
    quality["images"] |= {} if train is None else {"train": len(train)}
    copies, notes = _copies(held_out, drawn, train_features, settings)
    quality |= copies
    quality["embedders"] = {
        other.name: _by_other(other, real, synthetic, classes, samples, settings, sharing) for other in others
    }
    rows, drift = quality["per_class"], quality["floor"]["spectrum_drift"]
    quality["bias"] = bias(held_out, drawn, classes, samples, rows, drift, real.images.shape[-1])
    quality["notes"] = [*_notes(quality), *notes]
    return Measured(quality, held_out, drawn)


def summarise(
    real: Embedded,
    synthetic: Embedded,
    classes: Sequence[str],
    samples: Sequence[Subsets],
    neighbours: int,
    sharing: Share = HERE,
) -> dict[str, Any]:
    """The figures of the whole and of each class, as the domain embedder sees them.

    KID and label agreement do not depend on N, so all images are used; the others are means over the repeats. The
    floor of each holds the synthetic and the real mean at equal N and the real one's 95 % prediction interval.

    Args:
        samples: the rows of each repeat, two at least.
        sharing: as :func:`measure`.
    """
    comparison = Comparison(real, synthetic, len(classes), neighbours, _figures)
    repeats = _repeats(comparison, samples, sharing)
    floors = floor(repeats, widening(len(samples[0].first), len(real), len(synthetic)))
    distance = kid(synthetic.features, real.features, synthetic.labels, real.labels)
    agreement = share(int((synthetic.predicted == synthetic.labels).sum()), len(synthetic))
    rows = class_rows(real, synthetic, classes, repeats)
    worst = max(rows, key=lambda row: row["shortfall"] if row["shortfall"] is not None else -np.inf)
    return {
        **_headline(floors, len(samples[0].first)),
        "kid": distance.value,
        "kid_standard_error": distance.standard_error,
        "label_agreement": agreement.value,
        "label_agreement_ci95": [agreement.low, agreement.high],
        "embedder_accuracy": float((real.predicted == real.labels).mean()),
        "worst_class": worst["class"],
        "worst_class_shortfall": worst["shortfall"],
        "missing_classes": missing_classes(rows),
        "below_floor": below(floors),
        "images": {"synthetic": len(synthetic), "held_out": len(real), "compared": len(samples[0].first)},
        "floor": floors,
        "per_class": rows,
    }


def _by_other(
    embedder: Embedder,
    real: Images,
    synthetic: Images,
    classes: Sequence[str],
    samples: Sequence[Subsets],
    settings: Settings,
    sharing: Share,
) -> dict[str, Any]:
    """What a further embedder has to say: distances, manifolds and classes, but nothing of labels and copies."""
    print(f"evaluate: embedding by {embedder.name}", file=sys.stderr, flush=True)
    held_out, drawn = (
        Features(Embedding(embedder, images.images).shared(sharing), images.labels) for images in (real, synthetic)
    )
    figures = _InceptionFigures(embedder) if isinstance(embedder, InceptionEmbedder) else compare
    repeats = _repeats(Comparison(held_out, drawn, len(classes), settings.neighbours, figures), samples, sharing)
    floors = floor(repeats, widening(len(samples[0].first), len(held_out), len(drawn)))
    distance = kid(drawn.features, held_out.features, drawn.labels, held_out.labels)
    return {
        **_headline(floors, len(samples[0].first)),
        "kid": distance.value,
        "kid_standard_error": distance.standard_error,
        "below_floor": below(floors),
        "floor": floors,
        "per_class": fidelity_rows(held_out, drawn, classes, repeats),
    }


def _figures(candidate: Embedded, reference: Embedded, neighbours: int) -> dict[str, float]:
    figures = compare(candidate, reference, neighbours)
    figures |= {name: of(candidate, reference) for name, of in BY_DOMAIN.items()}
    if candidate.pixel is not None:
        for space in SPACES:
            threshold = copy_threshold(getattr(reference, space))
            figures[f"copy_share_{space}"] = copy_share(getattr(candidate, space), threshold).value
    return figures


@dataclass(frozen=True)
class _InceptionFigures:
    """The figures that no other embedder gives, under their own names."""

    embedder: InceptionEmbedder

    def __call__(self, candidate: Features, reference: Features, neighbours: int) -> dict[str, float]:
        found = compare(candidate, reference, neighbours)
        found["fid"] = found.pop("frechet_distance")
        return found | {"inception_score": inception_score(self.embedder.logits(candidate.features))}


def _repeats(comparison: Comparison, samples: Sequence[Subsets], sharing: Share) -> list[Repeat]:
    repeats = []
    with track(len(samples), "evaluate: comparing", "repeats") as progress:
        for repeat in sharing(comparison, samples, comparison.seconds(samples)):
            repeats.append(repeat)
            progress.advance()
    return repeats


def _headline(floors: dict[str, dict[str, Any]], compared: int) -> dict[str, float | None]:
    """The synthetic means; no Fréchet distance where its bias outweighs what it says."""
    figures: dict[str, float | None] = {name: values["synthetic"] for name, values in floors.items()}
    if compared < FRECHET_LEAST:
        figures |= {name: None for name in FRECHET_NAMES if name in figures}
    return figures


def _copies(
    real: Embedded, synthetic: Embedded, train_features: np.ndarray | None, settings: Settings
) -> tuple[dict[str, Any], list[str]]:
    """What is said of copies, and its notes; of nothing to compare to, that it is not said."""
    if train_features is None:
        return {"copies": None}, ["No copy check: it takes the images that the generator was trained on."]
    copies, notes = copy_check(real, synthetic, train_features, derive(settings.seed, "evaluate.cells"))
    shares = {f"copy_share_{space}": copies[space]["share"] for space in SPACES}
    return {"copies": copies, **shares}, [*notes, *([MIRRORED] if settings.mirror != "none" else [])]


def copy_check(
    real: Embedded, synthetic: Embedded, train_features: np.ndarray, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """The copy check over all images, and what to beware of when reading it.

    Args:
        train_features: of the training images, float32 (N, D); distances to them are known on both sides.
        seed: of the cells of C_T.
    """
    centres = cell_centres(train_features, min(len(real), len(synthetic)), seed)
    cells = [nearest(side.features, centres)[1] for side in (synthetic, real)]
    copies: dict[str, Any] = {}
    notes = []
    for space in SPACES:
        drawn, held_out = getattr(synthetic, space), getattr(real, space)
        threshold = copy_threshold(held_out)
        found = copy_share(drawn, threshold)
        statistic = copy_statistic(drawn, held_out, *cells)
        copies[space] = {
            "share": found.value,
            "ci95": [found.low, found.high],
            "threshold": threshold,
            "status": status(found.value),
            "c_t": statistic._asdict() if statistic else None,
        }
        if status(found.value) != "PASS" and found.low <= EXPECTED:
            notes.append(
                f"The copy share by {space}, {found.value:.1%}, may be chance: its interval begins at {found.low:.1%}, "
                f"and {EXPECTED:.0%} is expected of unseen real images; raise evaluate.samples to know."
            )
    return {**copies, "exact_duplicates": exact_duplicates(synthetic)}, notes


def _notes(quality: dict[str, Any]) -> list[str]:
    notes = []
    compared = quality["images"]["compared"]
    if compared < FRECHET_LEAST:
        notes.append(
            f"No Fréchet distance as a headline: {compared} images a side are compared, and below {FRECHET_LEAST} its "
            "bias outweighs what it says; read the KID with its standard error, or its value in `floor` beside the "
            "real one."
        )
    unknown = [row["class"] for row in quality["per_class"] if row["coverage"] is None]
    if unknown:
        notes.append(f"No coverage, for want of real or synthetic images, in: {listed(unknown)}.")
    return notes
