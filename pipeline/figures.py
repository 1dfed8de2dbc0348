"""Every figure of ``metrics/quality.json`` that can be compared: its name, its bad side, and what helps."""

from dataclasses import dataclass

_LONGER = "train longer (train.kimg), look at the losses, or give the rare classes more real images"
_COPYING = "look at plots/evaluate/nearest.png; train shorter, augment more (train.augment), or give more real images"
_LABELS = "look at plots/evaluate/confusion.png; train longer (train.kimg), or mend labels that are wrong in the source"
_CLASSES = "look at the worst and the missing classes; give them more real images, or train longer (train.kimg)"
_DRIFTING = (
    "look at plots/evaluate/grid.png and spectrum.png; train longer (train.kimg), or augment less (train.augment)"
)
_REPEATING = "the generator repeats itself: raise train.n_critic or train.penalty_weight, or train longer"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        title: what a reader sees.
        hint: how to read it, in a few words.
        remedy: what helps where its gate fails.
        worse_above: larger is worse.
        least, most: what it cannot be below or above.
        of_one_set: it looks at no reference, such as a share of labels.
        floor: unseen real images have it too, so that a gate may be measured by what they score.
    """

    title: str
    hint: str
    remedy: str
    worse_above: bool = False
    least: float | None = None
    most: float | None = None
    of_one_set: bool = False
    floor: bool = True


# in the order in which a page shows them
FIGURES: dict[str, Figure] = {
    "fid": Figure(
        "FID",
        "Fréchet distance by the Inception network of 2015; lower is better",
        _LONGER,
        worse_above=True,
        least=0.0,
    ),
    "inception_score": Figure(
        "Inception score", "higher is better, on photographs of everyday things", _LONGER, of_one_set=True
    ),
    "frechet_distance": Figure(
        "Fréchet distance",
        "lower is better; biased at small numbers, so read it beside the real one",
        _LONGER,
        worse_above=True,
        least=0.0,
    ),
    "kid": Figure("Kernel distance (KID)", "lower is better; unbiased, may fall below zero", _LONGER, worse_above=True),
    "precision": Figure(
        "Precision", "share of synthetic images that lie among real ones", _LONGER, least=0.0, most=1.0
    ),
    "recall": Figure("Recall", "share of real images that lie among synthetic ones", _LONGER, least=0.0, most=1.0),
    "density": Figure("Density", "how densely real images surround the synthetic ones", _LONGER, least=0.0),
    "coverage": Figure("Coverage", "share of real images with a synthetic one near", _LONGER, least=0.0, most=1.0),
    "diversity": Figure("Diversity within a class", "1 is as varied as the real images", _REPEATING, least=0.0),
    "label_agreement": Figure(
        "Label agreement",
        "share whose label an independent classifier confirms",
        _LABELS,
        least=0.0,
        most=1.0,
        of_one_set=True,
    ),
    "intensity_drift": Figure(
        "Drift of brightness and contrast",
        "in levels of 0 to 255; lower is better",
        _DRIFTING,
        worse_above=True,
        least=0.0,
    ),
    "spectrum_drift": Figure("Drift of the spectrum", "in dB; lower is better", _DRIFTING, worse_above=True, least=0.0),
    "copy_share_pixel": Figure(
        "Copies, by pixels",
        "closer to a train image than 99 % of unseen real ones are; 1 % by chance",
        _COPYING,
        worse_above=True,
        least=0.0,
        most=1.0,
    ),
    "copy_share_feature": Figure(
        "Copies, by features", "the same, as the embedder sees it", _COPYING, worse_above=True, least=0.0, most=1.0
    ),
    "copies": Figure("Copies", "the larger share of both", _COPYING, worse_above=True, floor=False),
    "missing_classes": Figure("Missing classes", "how many", _CLASSES, worse_above=True, floor=False),
    "worst_class_shortfall": Figure(
        "Shortfall of the worst class", "behind its real images", _CLASSES, worse_above=True, floor=False
    ),
}
