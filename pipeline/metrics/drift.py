"""Drift that needs no embedder: brightness and contrast, and how power spreads over spatial frequencies."""

from typing import NamedTuple

import numpy as np
import torch

from pipeline.metrics.distances import spans

CHUNK_VALUES = 1 << 21  # pixels at a time: 16 MiB as float64
ROUNDING = 1 / 12  # power of the rounding to whole levels, below which a spectrum says nothing


def tones(images: np.ndarray) -> np.ndarray:
    """Mean and standard deviation (contrast) of each image's pixels: float64 (N, 2, C), in levels of 0 to 255.

    Args:
        images: uint8 (N, C, H, W), may be memory-mapped.
    """
    found = np.empty((len(images), 2, images.shape[1]))
    for span in _chunks(images):
        pixels = np.array(images[span], dtype=np.float64).reshape(*images[span].shape[:2], -1)
        found[span, 0], found[span, 1] = pixels.mean(axis=2), pixels.std(axis=2)
    return found


def frequencies(size: int) -> np.ndarray:
    """The frequencies of :func:`spectra`, in cycles a pixel: float64 (size // 2,), up to 0.5 for an even size."""
    return np.arange(1, size // 2 + 1) / size


def spectra(images: np.ndarray) -> np.ndarray:
    """Power of each image by spatial frequency, averaged over directions and channels: float64 (N, S // 2), in dB.

    The scale is that on which white noise of variance v has the power v at every frequency, in squared levels of 0 to
    255; 0 dB is 1. The power of rounding is added, so that a flat image has a spectrum too. After Durall et al. 2020,
    "Watch your up-convolution", who tell generated images by it.

    Args:
        images: uint8 (N, C, S, S), may be memory-mapped.
    """
    size = images.shape[-1]
    rings = _rings(size)
    found = np.empty((len(images), size // 2))
    for span in _chunks(images):
        pixels = torch.from_numpy(np.array(images[span], dtype=np.float64))
        power = torch.fft.fft2(pixels, norm="ortho").abs().square().mean(1)
        found[span] = 10 * torch.log10(power.flatten(1) @ rings + ROUNDING).numpy()
    return found


def mean_shift(candidate: np.ndarray, reference: np.ndarray) -> float:
    """The root mean square difference of two means, of (N, ...) and (M, ...), in their unit."""
    return float(np.sqrt(np.square(candidate.mean(axis=0) - reference.mean(axis=0)).mean()))


class SpectrumDrift(NamedTuple):
    """How far synthetic spectra lie from real ones, and how far unseen real ones do, at equal N; both in dB."""

    synthetic: float
    floor: float


def spectrum_drift(synthetic: np.ndarray, real: np.ndarray, repeats: int = 10, seed: int = 0) -> SpectrumDrift:
    """The drift of the mean spectrum, beside its floor: the same between halves of the real images.

    Args:
        synthetic: uint8 (N, C, S, S).
        real: images that the generator was not trained on, uint8 (M, C, S, S), M >= 4.
        repeats: of the comparison, each with random subsets of its own; both figures are means over them.
    """
    size, rng = min(len(real) // 2, len(synthetic)), np.random.default_rng(seed)
    drawn, shown = spectra(synthetic), spectra(real)
    rows = []
    for _ in range(repeats):
        order, chosen = rng.permutation(len(shown)), rng.permutation(len(drawn))[:size]
        first, second = shown[order[:size]], shown[order[size : 2 * size]]
        rows.append((mean_shift(drawn[chosen], second), mean_shift(first, second)))
    return SpectrumDrift(*np.mean(rows, axis=0).tolist())


def class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean of ``values`` (N, ...) in each class: float64 (classes, ...), NaN for a class without images."""
    means = np.full((classes, *values.shape[1:]), np.nan)
    for label in np.unique(labels):
        means[label] = values[labels == label].mean(axis=0)
    return means


def _rings(size: int) -> torch.Tensor:
    """Takes the mean over each ring of whole frequencies: float64 (size * size, size // 2)."""
    steps = np.fft.fftfreq(size, 1 / size)
    radius = np.rint(np.hypot(steps[:, None], steps)).astype(int).ravel()
    member = (radius[:, None] == np.arange(1, size // 2 + 1)).astype(np.float64)
    return torch.from_numpy(member / member.sum(axis=0))


def _chunks(images: np.ndarray) -> list[slice]:
    return list(spans(len(images), max(1, CHUNK_VALUES // int(np.prod(images.shape[1:])))))
