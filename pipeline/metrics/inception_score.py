"""The Inception score, for those who must report it: it looks at no real image."""

import numpy as np
from scipy.special import log_softmax

SPLITS = 10


def inception_score(logits: np.ndarray, splits: int = SPLITS) -> float:
    """exp of the mean divergence of p(y|x) from p(y), averaged over ``splits`` parts (Salimans et al. 2016).

    It rises with the number of images: compare at equal N alone. A part is every ``splits``-th image, so that images
    in the order of their classes make no difference.

    Args:
        logits: of the Inception network of 2015, without bias, float (N, K), N >= splits.
    """
    scores = []
    for start in range(splits):
        log_p = log_softmax(logits[start::splits].astype(np.float64), axis=1)
        p = np.exp(log_p)
        scores.append(np.exp((p * (log_p - np.log(p.mean(axis=0)))).sum(axis=1).mean()))
    return float(np.mean(scores))
