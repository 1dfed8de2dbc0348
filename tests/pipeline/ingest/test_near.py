"""Near duplicates against a look at every pair, in whatever way the search cuts the work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from pipeline.ingest import near
from pipeline.ingest.near import near_groups

SMALL = {"MANY": 3, "CELL": 8, "FEW": 0}  # nearly all is compared by cells, and those by products of matrices


def by_every_pair(images: np.ndarray, hashes: np.ndarray, bits: int) -> np.ndarray:
    """The definition, in float64: groups numbered by their first members."""
    flat = images.reshape(len(images), -1).astype(float)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.sqrt(flat.shape[1]))
    close = np.bitwise_count(hashes[:, None] ^ hashes) <= bits
    _, found = connected_components(close & (flat @ flat.T >= near.MIN_CORRELATION))
    _, first, place = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]


def alike(seed: int, kinds: int, copies: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A few pictures over and over, with noise on both sides of the limit; some of them flat."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (kinds, channels, 8, 8)).astype(float)
    pictures[0] = 250
    spread = pictures.std(axis=(1, 2, 3), keepdims=True) * rng.choice([0.02, 0.1, 0.14, 0.2, 0.5], (copies, 1, 1, 1, 1))
    noisy = pictures + rng.normal(0, 1, (copies, *pictures.shape)) * spread
    images = np.clip(noisy, 0, 255).round().astype(np.uint8).reshape(-1, *pictures.shape[1:])
    hashes = np.tile(rng.integers(0, 2**63, kinds // 2 + 1, np.uint64), len(images))[: len(images)]
    for _ in range(4):
        flipped = rng.integers(0, len(images), len(images) // 3)
        hashes[flipped] ^= np.uint64(1) << rng.integers(0, 64, len(flipped)).astype(np.uint64)
    order = rng.permutation(len(images))
    return images[order], hashes[order]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 30), st.integers(1, 16), st.sampled_from([1, 3]))
def test_the_groups_are_those_of_a_look_at_every_pair(
    seed: int, kinds: int, copies: int, bits: int, channels: int
) -> None:
    images, hashes = alike(seed, kinds, copies, channels)
    expected = by_every_pair(images, hashes, bits).tolist()
    assert near_groups(hashes, bits, lambda rows: images[rows]).tolist() == expected
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(near, name, value)
        assert near_groups(hashes, bits, lambda rows: images[rows]).tolist() == expected


def test_many_copies_of_few_images_are_not_compared_in_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twice as many images, about twice as many are read, where there are four times as many pairs."""
    monkeypatch.setattr(near, "CELL", 32)
    read = []
    for copies in (60, 120):
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (20, 1, 8, 8))
        images = np.clip(np.tile(pictures, (copies, 1, 1, 1)) + rng.normal(0, 3, (20 * copies, 1, 8, 8)), 0, 255)
        images, rows = images.astype(np.uint8), [0]

        def reading(some: np.ndarray, images: np.ndarray = images, rows: list[int] = rows) -> np.ndarray:
            rows[0] += len(some)
            return images[some]

        found = near_groups(np.zeros(len(images), np.uint64), 4, reading)
        assert found.tolist() == list(range(20)) * copies
        read.append(rows[0] / len(images))
    assert read[1] < 1.5 * read[0]
