"""How often the single split's interval of a figure that is no mean over images holds the truth; NumPy alone.

    python benchmarks/endpoint_coverage.py [experiments]

Each experiment draws test images, and the scores of two arms' classifiers of several seeds and draws, which differ by
seed, by draw, by image and in what is left. The truth is the mean over new seeds and draws on very many new images.
"""

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.experiment.effect import estimate_figure, stratified_weights
from pipeline.experiment.endpoints import MACRO_F1, Endpoint, average_precision, recall_at

CLASSES, SIZES = 4, (150, 100, 60, 25)
SEEDS, DRAWS, BOOTSTRAP = 6, 3, 200
RARE = CLASSES - 1
ENDPOINTS = (MACRO_F1, average_precision(RARE, "rare"), recall_at(RARE, "rare", 0.05))
NOISE = {  # between seeds, between draws, of the rest
    "images alone": (0.0, 0.0, 0.3),
    "seeds differ": (0.4, 0.0, 0.5),
    "seeds and draws differ": (0.25, 0.25, 0.5),
}
Noise = tuple[float, float, float]


def scores(
    rng: np.random.Generator, labels: np.ndarray, ease: np.ndarray, gain: float, noise: Noise, draws: int
) -> np.ndarray:
    """Of one arm's classifiers on the same images, (SEEDS, draws, N, K): a seed and a draw favour classes of their own.

    Args:
        ease: what is common to all classifiers, (N, K).
    """
    by_seed, by_draw, rest = noise
    seeds = by_seed * rng.normal(size=(SEEDS, 1, 1, CLASSES))
    drawn = by_draw * rng.normal(size=(1, draws, 1, CLASSES)) if draws > 1 else 0.0
    own = rest * rng.normal(size=(SEEDS, draws, len(labels), CLASSES))
    return (1.5 + gain) * np.eye(CLASSES)[labels] + ease + seeds + drawn + own


def images(rng: np.random.Generator, times: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and what is common to all classifiers, (N, K)."""
    labels = np.repeat(np.arange(CLASSES), times * np.array(SIZES))
    return labels, rng.normal(size=(len(labels), CLASSES))


def both(rng: np.random.Generator, labels: np.ndarray, ease: np.ndarray, noise: Noise) -> list[np.ndarray]:
    """The arm with synthetic images, which is a little better and knows draws, and the one without."""
    return [scores(rng, labels, ease, 0.3, noise, DRAWS), scores(rng, labels, ease, 0.0, noise, 1)]


def truth(rng: np.random.Generator, endpoint: Endpoint, noise: Noise, rounds: int) -> float:
    """The difference that very many images, seeds and draws would show."""
    found = []
    for _ in range(rounds):
        labels, ease = images(rng, times=20)
        first, second = both(rng, labels, ease, noise)
        found.append(endpoint(first, labels).mean() - endpoint(second, labels).mean())
    return float(np.mean(found))


def coverage(endpoint: Endpoint, noise: Noise, experiments: int, seed: int, rounds: int = 40) -> tuple[float, float]:
    """The share of experiments whose interval holds the truth, and the mean of half its width."""
    rng = np.random.default_rng(seed)
    expected, inside, halves = truth(rng, endpoint, noise, rounds), [], []
    for _ in range(experiments):
        labels, ease = images(rng)
        weights = np.concatenate([np.ones((1, len(labels))), stratified_weights(labels, BOOTSTRAP, rng)])
        first, second = (endpoint(arm, labels, weights) for arm in both(rng, labels, ease, noise))
        effect = estimate_figure(first - second, rng)
        inside.append(effect.low <= expected <= effect.high)
        halves.append((effect.high - effect.low) / 2)
    return float(np.mean(inside)), float(np.mean(halves))


def main() -> None:
    """Prints the table."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    title = f"intervals that hold the truth, in % of {experiments} experiments (half width, points)"
    table = Table("noise", *(endpoint.name for endpoint in ENDPOINTS), title=title)
    for number, (name, noise) in enumerate(NOISE.items()):
        found = [coverage(endpoint, noise, experiments, number) for endpoint in ENDPOINTS]
        table.add_row(name, *(f"{100 * share:.1f} ({100 * half:.1f})" for share, half in found))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
