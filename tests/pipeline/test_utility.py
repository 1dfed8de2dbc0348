import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from pipeline.metrics.utility import (
    Bounds,
    Interval,
    balanced_accuracy,
    decide,
    interval,
    macro_f1,
    recalls,
    seeds_interval,
)

LABELS = np.repeat(np.arange(10), 40)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_figures_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    present = np.unique(labels)
    correct = predictions == labels
    by_class = recalls(correct, labels, 5)
    expected = recall_score(labels, predictions, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(by_class[present], expected)
    assert np.isnan(np.delete(by_class, present)).all()
    mean = np.mean(expected)
    assert balanced_accuracy(correct, labels) == pytest.approx(mean)
    if len(present) > 1 and set(predictions) <= set(labels):  # else scikit-learn warns
        assert balanced_accuracy(correct, labels) == pytest.approx(balanced_accuracy_score(labels, predictions))
    f1 = f1_score(labels, predictions, labels=present, average="macro", zero_division=0)
    assert macro_f1(predictions, labels) == pytest.approx(f1)


def test_seeds_interval_is_the_t_test() -> None:
    values = np.array([0.010, 0.014, 0.002, 0.021, 0.008])
    ci = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    mine = seeds_interval(values)
    assert (mine.low, mine.high) == pytest.approx((ci.low, ci.high))


def test_without_differences_between_seeds_the_interval_is_that_of_the_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [200, 100, 50])
    outcomes = np.tile(rng.random(350) < 0.8, (6, 1)).astype(float)
    variances = [outcomes[0, labels == c].var(ddof=1) / (labels == c).sum() for c in range(3)]
    half = 1.96 * np.sqrt(sum(variances)) / 3
    ci = interval(outcomes, labels, draws=20_000, rng=rng)
    assert (ci.high - ci.low) / 2 == pytest.approx(half, rel=0.05)
    assert (ci.high + ci.low) / 2 == pytest.approx(balanced_accuracy(outcomes, labels).mean(), abs=0.005)


def test_without_differences_between_images_the_interval_is_that_of_the_seeds() -> None:
    by_seed = np.array([0.01, 0.03, -0.02, 0.05, 0.04, 0.0])
    ci = interval(np.tile(by_seed[:, None], (1, 400)), LABELS, draws=20_000, rng=np.random.default_rng(0))
    expected = seeds_interval(by_seed)
    assert ci.low == pytest.approx(expected.low, abs=0.002)
    assert ci.high == pytest.approx(expected.high, abs=0.002)


def test_a_class_of_one_image_is_no_obstacle() -> None:
    labels = np.array([0, 0, 0, 1])
    outcomes = np.array([[1, 0, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1.0]])
    ci = interval(outcomes, labels, draws=500, rng=np.random.default_rng(0))
    assert ci.low < balanced_accuracy(outcomes, labels).mean() < ci.high


NOISE = {
    "images": (0.0, 0.5, 0.5),
    "seeds": (0.4, 0.0, 0.5),
    "both": (0.15, 0.5, 0.5),
    "seed by image": (0.0, 0.0, 0.5),
}


def _experiment(
    rng: np.random.Generator, effect: float, noise: tuple[float, float, float], seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two paired arms, right or wrong by seed and image: both face the same images, of which new ones are drawn."""
    by_seed, by_image, rest = noise
    size = (seeds, len(LABELS))
    ease = rng.normal(2.5, 2, len(LABELS)) - 0.15 * LABELS

    def arm(gain: float) -> np.ndarray:
        own = (
            by_image * rng.normal(size=len(LABELS))
            + by_seed * rng.normal(size=(seeds, 1))
            + rest * rng.normal(size=size)
        )
        return ease + gain + own > 0

    return arm(effect), arm(0.0)


def _true_difference(effect: float, noise: tuple[float, float, float]) -> float:
    spread = np.sqrt(4 + sum(part**2 for part in noise))
    means = 2.5 - 0.15 * np.arange(10)
    return float(np.mean(stats.norm.cdf((means + effect) / spread) - stats.norm.cdf(means / spread)))


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("effect", [0.0, 0.4])
def test_the_interval_covers_the_truth_and_finds_no_help_where_there_is_none(
    noise: tuple[float, float, float], effect: float
) -> None:
    rng, runs = np.random.default_rng(5), 500
    truth, bounds = _true_difference(effect, noise), Bounds(0.0, 1.0, 0.01)
    covered = helps = 0
    for _ in range(runs):
        first, second = _experiment(rng, effect, noise, seeds=6)
        difference = first.astype(float) - second
        ci = interval(difference, LABELS, draws=400, rng=rng)
        covered += ci.low <= truth <= ci.high
        verdict = decide(balanced_accuracy(difference, LABELS).mean(), ci, {"a": 0.0}, "control", bounds)
        helps += verdict.name == "HELPS"
    assert covered / runs >= 0.92
    if effect == 0:
        assert helps / runs <= 0.05
    elif noise is NOISE["images"]:
        assert helps / runs >= 0.9


BOUNDS = Bounds(min_effect=0.005, max_class_loss=0.05, equivalence_margin=0.01)
EVEN = {"cat": 0.02, "dog": 0.0}


@pytest.mark.parametrize(
    ("delta", "ci", "classes", "name", "says"),
    [
        (0.02, (0.01, 0.03), EVEN, "HELPS", "+2.0 points"),
        (0.02, (0.01, 0.03), {"cat": 0.10, "dog": -0.06}, "INCONCLUSIVE", "'dog' changes by -6.0"),
        (0.004, (0.001, 0.015), EVEN, "INCONCLUSIVE", "below the 0.5 points"),
        (0.004, (0.001, 0.007), EVEN, "EQUIVALENT", "within 1.0 points"),
        (0.02, (0.0, 0.04), EVEN, "INCONCLUSIVE", "more seeds or test images"),
        (-0.02, (-0.03, -0.01), EVEN, "HURTS", "-2.0 points"),
        (-0.004, (-0.006, -0.001), EVEN, "HURTS", "hurt"),
        (0.0, (-0.01, 0.01), EVEN, "EQUIVALENT", "no difference that matters"),
        (0.0, (-0.011, 0.01), EVEN, "INCONCLUSIVE", "-1.1 to +1.0"),
    ],
)
def test_the_verdict(delta: float, ci: tuple[float, float], classes: dict[str, float], name: str, says: str) -> None:
    verdict = decide(delta, Interval(*ci), classes, "control", BOUNDS)
    assert verdict.name == name
    assert says in verdict.sentence
    assert "'control'" in verdict.sentence
    assert verdict.sentence.endswith(".")
