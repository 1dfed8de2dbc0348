import numpy as np
import pytest
from scipy import stats

from pipeline.experiment.accuracies import balanced_accuracy, seeds_interval
from pipeline.experiment.effect import Effect, estimate, estimate_figure, recall_interval, stratified_weights
from pipeline.experiment.verdict import Bounds, decide

LABELS = np.repeat(np.arange(10), 40)


def test_without_differences_between_seeds_the_interval_is_that_of_the_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [200, 100, 50])
    outcomes = np.tile(rng.random(350) < 0.8, (6, 2, 1)).astype(float)
    variances = [outcomes[0, 0, labels == c].var(ddof=1) / (labels == c).sum() for c in range(3)]
    half = 1.96 * np.sqrt(sum(variances)) / 3
    ci = estimate(outcomes, labels, resamples=20_000, rng=rng)
    assert (ci.high - ci.low) / 2 == pytest.approx(half, rel=0.05)
    assert (ci.high + ci.low) / 2 == pytest.approx(balanced_accuracy(outcomes, labels).mean(), abs=0.005)
    assert ci.by_seed == ci.by_draw == 0


def test_without_differences_between_images_the_interval_is_that_of_the_seeds() -> None:
    by_seed = np.array([0.01, 0.03, -0.02, 0.05, 0.04, 0.0])
    ci = estimate(np.tile(by_seed[:, None, None], (1, 1, 400)), LABELS, resamples=20_000, rng=np.random.default_rng(0))
    expected = seeds_interval(by_seed)
    assert ci.low == pytest.approx(expected.low, abs=0.002)
    assert ci.high == pytest.approx(expected.high, abs=0.002)


def test_a_class_of_one_image_is_no_obstacle() -> None:
    labels = np.array([0, 0, 0, 1])
    outcomes = np.array([[1, 0, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1.0]])[:, None]
    ci = estimate(outcomes, labels, resamples=500, rng=np.random.default_rng(0))
    assert ci.low < balanced_accuracy(outcomes, labels).mean() < ci.high


def test_an_interval_reports_nothing_that_cannot_be() -> None:
    wide = Effect(0.2, -1.4, 1.2, seeds=5, draws=2, by_image=0, by_seed=0, by_draw=0.05, by_cell=0)
    assert wide.within(0.0) == [0.0, 1.0]
    assert wide.within(-1.0) == [-1.0, 1.0]
    assert Effect(0.2, 0.1, 0.3, 5, 2, 0, 0, 0, 0).within(0.0) == [0.1, 0.3]


def test_without_differences_between_seeds_and_images_the_interval_is_that_of_the_draws() -> None:
    by_draw = np.array([0.01, 0.03, -0.02, 0.05])
    ci = estimate(np.tile(by_draw[:, None], (6, 1, 400)), LABELS, resamples=20_000, rng=np.random.default_rng(0))
    expected = seeds_interval(by_draw)
    assert (ci.low, ci.high) == pytest.approx((expected.low, expected.high), abs=0.003)
    assert ci.by_draw == pytest.approx(by_draw.var(ddof=1))


NOISE = {  # between seeds, draws, images, and in what is left
    "images": (0.0, 0.0, 0.5, 0.5),
    "seeds": (0.4, 0.0, 0.0, 0.5),
    "draws": (0.0, 0.3, 0.0, 0.5),
    "all": (0.15, 0.15, 0.5, 0.5),
    "the rest alone": (0.0, 0.0, 0.0, 0.5),
}
Noise = tuple[float, float, float, float]


def _experiment(rng: np.random.Generator, effect: float, noise: Noise, seeds: int, draws: int) -> np.ndarray:
    """The paired difference of two arms, by seed, draw and image: of new images, and the second arm knows no draws."""
    by_seed, by_draw, by_image, rest = noise
    images = len(LABELS)
    ease = rng.normal(2.5, 2, images) - 0.15 * LABELS

    def own(count: int) -> np.ndarray:
        drawn = by_draw * rng.normal(size=(count, 1)) if count > 1 else 0.0
        together = by_image * rng.normal(size=images) + by_seed * rng.normal(size=(seeds, 1, 1))
        return ease + together + drawn + rest * rng.normal(size=(seeds, count, images))

    return (own(draws) + effect > 0).astype(float) - (own(1) > 0)


def _true_difference(effect: float, noise: Noise) -> float:
    by_seed, by_draw, by_image, rest = noise
    without = np.sqrt(4 + by_seed**2 + by_image**2 + rest**2)
    means, spread = 2.5 - 0.15 * np.arange(10), np.sqrt(without**2 + by_draw**2)
    return float(np.mean(stats.norm.cdf((means + effect) / spread) - stats.norm.cdf(means / without)))


@pytest.mark.parametrize(
    ("name", "effect", "draws"),
    [
        ("images", 0.4, 1),
        ("seeds", 0.0, 1),
        ("draws", 0.0, 3),
        ("all", 0.0, 3),
        ("all", 0.4, 3),
        ("the rest alone", 0.0, 3),
    ],
)
def test_the_interval_covers_the_truth_and_finds_no_help_where_there_is_none(
    name: str, effect: float, draws: int
) -> None:
    noise = NOISE[name]
    rng, runs = np.random.default_rng(5), 100
    truth, bounds = _true_difference(effect, noise), Bounds(0.0, 1.0, 0.01)
    covered = helps = 0
    for _ in range(runs):
        found = estimate(_experiment(rng, effect, noise, 6, draws), LABELS, resamples=200, rng=rng)
        covered += found.low <= truth <= found.high
        helps += decide(found, {"a": 0.0}, "control", bounds).name == "HELPS"
    assert covered / runs >= 0.9
    if truth <= 0:
        assert helps / runs <= 0.05
    if name == "images":
        assert helps / runs >= 0.9


def _effect(mean: float, low: float, high: float, **parts: float) -> Effect:
    given = {"by_image": 0.0, "by_seed": 0.0, "by_draw": 0.0, "by_cell": 0.0} | parts
    return Effect(mean, low, high, seeds=6, draws=3, **given)


def test_the_noise_of_cells_is_the_residual_of_a_two_way_analysis_of_variance_within_each_class() -> None:
    rng, labels = np.random.default_rng(3), np.repeat([0, 1], [4, 7])
    outcomes = rng.normal(size=(5, 1, 11))
    expected = 0.0
    for label in (0, 1):
        table = outcomes[:, 0, labels == label]  # seeds in rows, images in columns
        seeds, images = table.shape
        means = table.mean(1)[:, None] + table.mean(0)[None] - table.mean()
        residual = ((table - means) ** 2).sum() / ((seeds - 1) * (images - 1))
        expected += residual / images / 2**2
    effect = estimate(outcomes, labels, resamples=10, rng=rng)
    assert effect.by_cell == pytest.approx(expected)
    between = balanced_accuracy(outcomes[:, 0], labels).var(ddof=1)
    assert effect.by_seed == pytest.approx(max(between - expected, 0))


def test_a_half_width_is_that_of_a_t_interval_and_of_a_normal_one() -> None:
    assert _effect(0, 0, 0, by_seed=0.06).half_width(6) == pytest.approx(stats.t.ppf(0.975, 5) * 0.1)
    assert _effect(0, 0, 0, by_image=0.01, by_cell=0.06).half_width(6) == pytest.approx(1.96 * np.sqrt(0.02), rel=1e-3)


def test_the_smallest_effect_would_be_found_in_four_cases_of_five() -> None:
    found = _effect(0, 0, 0, by_image=1e-4)
    share = stats.norm.sf(1.96, loc=found.smallest / 1e-2)  # of estimates whose interval lies above 0
    assert share == pytest.approx(0.8, abs=1e-3)


def test_seeds_to_settle_halve_the_width_at_four_times_as_many() -> None:
    wide = _effect(0.01, -0.005, 0.025, by_cell=6 * (0.0199 / 1.96) ** 2)
    assert wide.half_width(6) == pytest.approx(0.0199, rel=1e-3)
    assert wide.seeds_to_settle(margin=0.0, least=0.0) == 24
    assert wide.seeds_to_settle(margin=0.02, least=0.0) == 24
    assert wide.seeds_to_settle(margin=0.0, least=0.02) is None  # a sure gain would still be too small
    images = _effect(0.01, -0.005, 0.025, by_image=0.01**2)
    assert images.seeds_to_settle(margin=0.01, least=0.0) is None
    assert images.limit == "test images"
    assert _effect(0.01, -0.005, 0.025, by_draw=0.01).limit == "generator draws"


def test_a_recalls_interval_is_wilsons_and_keeps_its_width_where_all_are_right() -> None:
    low, high = recall_interval(_effect(1.0, 1.0, 1.0), 10)
    expected = stats.binomtest(10, 10).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 25)  # as wide as 25 images make it, though there are 50
    low, high = recall_interval(_effect(0.8, 0.8 - half, 0.8 + half), 50)
    expected = stats.binomtest(20, 25).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-3)


BOUNDS = Bounds(min_effect=0.005, max_class_loss=0.05, equivalence_margin=0.01)
EVEN = {"cat": 0.02, "dog": 0.0}


@pytest.mark.parametrize(
    ("delta", "ci", "classes", "name", "says"),
    [
        (0.02, (0.01, 0.03), EVEN, "HELPS", "+2.0 points"),
        (0.02, (0.01, 0.03), {"cat": 0.10, "dog": -0.06}, "INCONCLUSIVE", "'dog' changes by -6.0"),
        (0.004, (0.001, 0.015), EVEN, "INCONCLUSIVE", "below the 0.5 points"),
        (0.004, (0.001, 0.007), EVEN, "EQUIVALENT", "within 1.0 points"),
        (0.02, (0.0, 0.04), EVEN, "INCONCLUSIVE", "both gain and loss"),
        (-0.02, (-0.03, -0.01), EVEN, "HURTS", "-2.0 points"),
        (-0.004, (-0.006, -0.001), EVEN, "HURTS", "hurt"),
        (0.0, (-0.01, 0.01), EVEN, "EQUIVALENT", "no difference that matters"),
        (0.0, (-0.011, 0.01), EVEN, "INCONCLUSIVE", "-1.1 to +1.0"),
    ],
)
def test_the_verdict(delta: float, ci: tuple[float, float], classes: dict[str, float], name: str, says: str) -> None:
    verdict = decide(_effect(delta, *ci), classes, "control", BOUNDS)
    assert verdict.name == name
    assert says in verdict.sentence
    assert "'control'" in verdict.sentence
    assert verdict.sentence.endswith(".")


def test_without_a_verdict_it_says_how_many_seeds_would_do_or_that_none_would() -> None:
    by_cell = 6 * (0.0199 / 1.96) ** 2
    settled = decide(_effect(0.01, -0.01, 0.03, by_cell=by_cell), EVEN, "control", Bounds(0.0, 0.05, 0.001))
    assert settled.seeds_to_settle == 24
    assert "24 seeds in the place of 6" in settled.sentence
    never = decide(_effect(0.01, -0.01, 0.03, by_image=1e-4), EVEN, "control", BOUNDS)
    assert never.seeds_to_settle is None
    assert "the test images are the limit" in never.sentence


@pytest.mark.parametrize("name", ["images", "draws", "all"])
def test_a_figure_that_is_a_mean_has_the_interval_of_a_mean(name: str) -> None:
    """Resamples of the whole figure against the analysis of variance of its images."""
    rng = np.random.default_rng(2)
    outcomes = _experiment(rng, 0.3, NOISE[name], 6, 3)
    weights = stratified_weights(LABELS, 8000, rng)
    means = np.stack([(outcomes * (label == LABELS)) @ weights.T / 40 for label in range(10)]).mean(axis=0)
    values = np.concatenate([balanced_accuracy(outcomes, LABELS)[..., None], means], axis=-1)
    found, expected = (estimate_figure(values, rng), estimate(outcomes, LABELS, resamples=8000, rng=rng))
    assert found.mean == pytest.approx(expected.mean)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.1, abs=0.01)
    for part in ("by_image", "by_seed", "by_draw", "by_cell"):
        assert getattr(found, part) == pytest.approx(getattr(expected, part), rel=0.15, abs=3e-6), part
