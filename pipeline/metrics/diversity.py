"""How much the images of one class differ among themselves."""

import numpy as np

from pipeline.metrics.distances import BLOCK_ROWS, spans


def within_class_spread(features: np.ndarray, labels: np.ndarray) -> float | None:
    """Root mean square distance between two images of one class, pooled over the classes.

    Unbiased in the squares at any N: the mean squared distance of two rows is twice the trace of their covariance.

    Args:
        features: any float dtype (N, D).
        labels: int64 (N,).

    Returns:
        ``None`` where no class has two images.
    """
    squares, freedom = 0.0, 0
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        mean = features[members].mean(axis=0, dtype=np.float64)
        for span in spans(len(members), BLOCK_ROWS):
            squares += float(np.square(features[members[span]] - mean).sum())
        freedom += len(members) - 1
    return float(np.sqrt(2 * squares / freedom)) if freedom else None
