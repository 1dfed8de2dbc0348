"""Images that are the same, and images that nearly are."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DIGEST_BYTES = 16

MIN_CORRELATION = 0.98
"""Of two near duplicates' pixels. Exposures of one scene lie above; few pairs of different garments or digits do."""

PAIRS_AT_ONCE = 1 << 14
PIXELS_AT_ONCE = 1 << 18

WHOLE = 48 << 20
"""Bytes of all images that are held at once where there are many pairs to compare."""

MARGIN = 0.002
"""More than a sum in float32 over the pixels of an image can be wrong by, as a part of it."""

ReadPixels = Callable[[np.ndarray], np.ndarray]


def pixel_digest(pixels: np.ndarray) -> np.ndarray:
    """A digest of the store's pixels, uint8 (16,); equal for exact duplicates, whatever format they came in."""
    return np.frombuffer(hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest(), np.uint8)


def to_luma(pixels: np.ndarray) -> np.ndarray:
    """Brightness (Rec. 601) of one image: uint8 (C, H, W) to float32 (H, W)."""
    if len(pixels) == 1:
        return pixels[0].astype(np.float32)
    return np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), pixels.astype(np.float32), 1)


def perceptual_hashes(luma: np.ndarray) -> np.ndarray:
    """DCT hashes: one bit for each of the 8 x 8 lowest frequencies, set where it is above the median.

    After Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), on the whole image.

    Args:
        luma: float32 (N, S, S), S at least 8.

    Returns:
        uint64 (N,). Brightness and contrast hardly change them, other content changes about half of the 64 bits.
    """
    basis = _dct_basis(luma.shape[-1])
    low = (basis @ luma @ basis.T).reshape(len(luma), 64)
    median = np.median(low[:, 1:], axis=1, keepdims=True)  # without the mean brightness
    return np.packbits(low > median, axis=1).view(np.uint64)[:, 0]


@cache
def _dct_basis(size: int) -> np.ndarray:
    """The eight lowest rows of the orthonormal DCT-II, float32 (8, size)."""
    frequency, position = np.arange(8)[:, None], np.arange(size)[None]
    basis = np.cos(np.pi * frequency * (2 * position + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def near_groups(hashes: np.ndarray, bits: int, read: ReadPixels) -> np.ndarray:
    """Groups of near duplicates, closed over chains of them.

    Two images are near duplicates where their hashes differ in at most ``bits`` bits and their pixels correlate by at
    least :data:`MIN_CORRELATION`. Memory stays in proportion to N, however many pairs there are.

    Args:
        hashes: uint64 (N,).
        bits: 1 to 16; 0 groups nothing.
        read: gives the pixels of some of the N images, uint8 (n, C, H, W).

    Returns:
        int64 (N,), the group of each image, numbered from 0 in the order of their first members.
    """
    groups = np.arange(len(hashes))
    if not bits:
        return groups
    likely: _Likely | None = None
    for pairs in _collected(_close_pairs(hashes, bits), max(PAIRS_AT_ONCE, len(hashes))):
        pairs = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
        if likely is None and len(pairs) > len(hashes) // 4 and len(hashes) * read(pairs[0, :1]).size <= WHOLE:
            likely = _Likely(read(np.arange(len(hashes))))
        if likely is not None:
            pairs = likely.of(pairs)
        pairs = pairs[_correlations(pairs, read) >= MIN_CORRELATION]
        groups = groups_of(groups, pairs)
    return groups


def groups_of(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """``groups`` (N,) after the groups of each pair (P, 2) of images became one; numbered by first members."""
    count = int(groups.max(initial=-1)) + 1
    edges = (np.ones(len(pairs), bool), (groups[pairs[:, 0]], groups[pairs[:, 1]]))
    _, merged = connected_components(coo_array(edges, shape=(count, count)), directed=False)
    _, first, inverse = np.unique(merged[groups], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _close_pairs(hashes: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """Pairs of hashes at most ``bits`` apart, int64 (P, 2), some more than once.

    Cut into bits + 1 bands, two such hashes agree in one band at least, so only those are compared. The i-th step
    compares each hash, sorted by band, to the i-th after it.
    """
    edges = np.linspace(0, 64, bits + 2).astype(int)
    for low, high in pairwise(edges.tolist()):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        band, ordered = band[order], hashes[order]
        here = np.arange(len(hashes) - 1)
        step = 1
        while len(here := here[here + step < len(hashes)]) and len(here := here[band[here] == band[here + step]]):
            close = here[np.bitwise_count(ordered[here] ^ ordered[here + step]) <= bits]
            yield np.stack([order[close], order[close + step]], axis=1)
            step += 1


def _collected(parts: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The pairs of ``parts`` in blocks of ``size`` or some more, each sorted and without repeats.

    Small blocks save work: most pairs of a large group fall away once earlier blocks have joined its members.
    """
    waiting: list[np.ndarray] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part) + 1  # an empty part takes room as well
        if count >= size:
            yield _distinct(waiting)
            waiting, count = [], 0
    if waiting:
        yield _distinct(waiting)


def _distinct(parts: list[np.ndarray]) -> np.ndarray:
    pairs = np.concatenate(parts)
    keys = np.unique(pairs.min(axis=1) << 32 | pairs.max(axis=1))  # by one number, which sorts ten times as fast
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def _correlations(pairs: np.ndarray, read: ReadPixels) -> np.ndarray:
    """Pearson's correlation between the pixels of both images of each pair, float32 (P,); 0 where one is flat."""
    result = np.zeros(len(pairs), np.float32)
    if not len(pairs):
        return result
    step = max(1, PIXELS_AT_ONCE // read(pairs[0, :1]).size)
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        rows, place = np.unique(part, return_inverse=True)
        first, second = _standardised(read(rows))[place.reshape(part.shape).T]
        result[start : start + step] = np.einsum("np,np->n", first, second)
    return result


class _Likely:
    """Tells, out of all images at once, the pairs whose pixels may correlate enough; ten times as fast as to be sure.

    Args:
        images: uint8 (N, C, H, W).
    """

    def __init__(self, images: np.ndarray) -> None:
        self._images = images.reshape(len(images), -1)
        self._step = max(1, PIXELS_AT_ONCE // self._images.shape[1])
        self._mean, self._spread = np.empty((2, len(images)), np.float32)
        for start in range(0, len(images), self._step):
            part = slice(start, start + self._step)
            flat = self._images[part].astype(np.float32)
            self._mean[part], self._spread[part] = flat.mean(axis=1), flat.std(axis=1)

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """Those of ``pairs`` (P, 2) that are left."""
        left = [pairs[:0]]
        for start in range(0, len(pairs), self._step):
            part = pairs[start : start + self._step]
            first, second = part.T
            products = np.einsum("np,np->n", *(self._images[rows].astype(np.float32) for rows in (first, second)))
            products /= self._images.shape[1]
            common = self._mean[first] * self._mean[second]
            least = MIN_CORRELATION * self._spread[first] * self._spread[second]
            left.append(part[products * (1 + MARGIN) - common >= least])
        return np.concatenate(left)


def _standardised(images: np.ndarray) -> np.ndarray:
    """Each image with mean 0 and length 1, float32 (n, pixels); one of less than a level's spread is shorter."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, np.sqrt(flat.shape[1]))
