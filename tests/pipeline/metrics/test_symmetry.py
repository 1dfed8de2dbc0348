"""Made sets whose symmetry is known: discs have every one, arrows that point any way but left have what they have."""

from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import stats

from pipeline.metrics.symmetry import asymmetry, thumbnails, told_apart

SIDE = 24
CODES = {"across": 1, "down": 2, "diagonal": 4}


def disc(rng: np.random.Generator) -> Image.Image:
    """Somewhere, of any size: in a set of them every symmetry of the square, in hardly any single one."""
    image = Image.new("L", (SIDE, SIDE))
    (x, y), r = rng.uniform(7, 17, 2).tolist(), rng.uniform(3, 7)
    ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill=int(rng.integers(120, 255)))
    return image


def arrow(rng: np.random.Generator) -> Image.Image:
    """One that points left."""
    image = Image.new("L", (SIDE, SIDE))
    (x, y), r = rng.uniform(10, 14, 2).tolist(), rng.uniform(5, 8)
    draw, fill = ImageDraw.Draw(image), int(rng.integers(120, 255))
    draw.polygon([(x - r, y), (x, y - r), (x, y + r)], fill=fill)
    draw.rectangle((x, y - r / 3, x + r, y + r / 3), fill=fill)
    return image


def ways(rng: np.random.Generator, turns: tuple[int, ...]) -> Image.Image:
    """An arrow turned by one of so many quarters."""
    return arrow(rng).rotate(90 * int(rng.choice(turns)))


KINDS = {
    "discs": disc,
    "left": arrow,
    "left or right": lambda rng: ways(rng, (0, 2)),
    "mostly left": lambda rng: ways(rng, (0, 0, 0, 2)),
    "any way": lambda rng: ways(rng, (0, 1, 2, 3)),
}


@cache
def made(kind: str, count: int = 120, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, len(kind)])
    return np.stack([np.asarray(KINDS[kind](rng)) for _ in range(count)])[:, None]


def p_of(images: np.ndarray, axis: str, labels: np.ndarray | None = None, seed: int = 0) -> float:
    labels = np.zeros(len(images), np.int64) if labels is None else labels
    rng = np.random.default_rng(seed)
    return asymmetry(thumbnails(images), labels, np.arange(len(images)), CODES[axis], rng).p


@pytest.mark.parametrize(
    ("kind", "differs"),
    [
        ("discs", set()),
        ("any way", set()),
        ("left or right", {"diagonal"}),
        ("left", {"across", "diagonal"}),
        ("mostly left", {"across", "diagonal"}),
    ],
)
def test_it_finds_the_symmetries_that_a_set_was_made_with(kind: str, differs: set[str]) -> None:
    found = {axis: p_of(made(kind), axis) for axis in CODES}
    assert {axis for axis, p in found.items() if p <= 0.01} == differs, found
    assert min([1.0, *(p for axis, p in found.items() if axis not in differs)]) > 0.02


def test_one_class_that_points_left_is_seen_among_many_that_do_not() -> None:
    images = np.concatenate([made("discs", 200), made("left", 12)])
    assert p_of(images, "across", np.repeat([0, 1], [200, 12])) <= 0.01


def test_p_is_uniform_where_flips_change_nothing() -> None:
    found = [p_of(made("discs", 10, seed), "across", seed=seed) for seed in range(120)]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_images_of_one_scene_are_flipped_together() -> None:
    """Twelve pictures of each of eight discs are eight discs: taken singly they look like a hundred that agree."""
    rng, alone, together = np.random.default_rng(3), [], []
    for seed in range(30):
        scenes = np.repeat(made("discs", 8, seed), 12, axis=0)
        small = thumbnails(np.clip(scenes + rng.integers(-3, 4, scenes.shape), 0, 255).astype(np.uint8))
        units, labels = np.repeat(np.arange(8), 12), np.zeros(96, np.int64)
        alone.append(asymmetry(small, labels, np.arange(96), 1, rng).p)
        together.append(asymmetry(small, labels, units, 1, rng).p)
    assert np.mean(np.array(alone) <= 0.05) > 0.5
    assert np.mean(np.array(together) <= 0.05) <= 0.2


def test_the_share_is_that_of_a_common_step_and_what_is_visible_falls_with_the_images() -> None:
    few, many = made("discs", 15), made("discs", 150)
    found = [
        asymmetry(
            thumbnails(images), np.zeros(len(images), np.int64), np.arange(len(images)), 1, np.random.default_rng(0)
        )
        for images in (few, many)
    ]
    assert found[1].visible < found[0].visible / 5
    same = np.repeat(made("left", 1), 20, axis=0)  # mirroring does the same to each of them
    alike = asymmetry(thumbnails(same), np.zeros(20, np.int64), np.arange(20), 1, np.random.default_rng(0))
    assert alike.share == pytest.approx(1)
    lone = asymmetry(thumbnails(few), np.arange(15) // 14, np.arange(15), 1, np.random.default_rng(0))
    assert lone.visible_worst == np.inf  # the class of a single image


def test_classes_are_told_apart_by_enough_images_and_not_if_they_are_one() -> None:
    rng = np.random.default_rng(0)
    images, labels = np.concatenate([made("discs", 60), made("left", 60)]), np.repeat([0, 1], 60)
    assert told_apart(thumbnails(images), labels, rng) == 1
    assert told_apart(thumbnails(images), rng.permutation(labels), rng) == 0
    assert told_apart(thumbnails(images[:1]), labels[:1], rng) == 0
