"""What images that are the same, or nearly are, have in common; :mod:`pipeline.ingest.near` finds the latter."""

import hashlib
from functools import cache

import numpy as np

DIGEST_BYTES = 16


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
    basis = dct_basis(luma.shape[-1])
    low = (basis @ luma @ basis.T).reshape(len(luma), 64)
    median = np.median(low[:, 1:], axis=1, keepdims=True)  # without the mean brightness
    return np.packbits(low > median, axis=1).view(np.uint64)[:, 0]


@cache
def dct_basis(size: int) -> np.ndarray:
    """The eight lowest rows of the orthonormal DCT-II, float32 (8, size)."""
    frequency, position = np.arange(8)[:, None], np.arange(size)[None]
    basis = np.cos(np.pi * frequency * (2 * position + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
