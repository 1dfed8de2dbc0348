"""Splits that come from elsewhere: does the test split differ from the validation split, on which all is chosen?"""

from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.experiment.effect import Effect, estimate
from pipeline.metrics.embedders.domain import train_domain_embedder
from pipeline.metrics.two_sample import two_sample
from pipeline.runtime import one_thread
from pipeline.store import Store

ALPHA = 0.01  # of the test: a set that is as it should be is warned of once in a hundred
LEAST_GAP = 0.02  # what the gap's whole interval has to be above, as a choice made on validation flatters it
EMBEDDER_STEPS = 200

Tree = dict[str, Any]


def compare_splits(
    store: Store, right_val: np.ndarray, right_test: np.ndarray, *, seed: int, resamples: int
) -> Tree | None:
    """What ``metrics/utility.json`` says below ``given_splits``; None where augmint itself drew the test split.

    Args:
        store: the ingested set.
        right_val: which validation images the baseline's classifiers got right, bool (seeds, draws, images).
        right_test: the same of test images.
        seed: the project's.
        resamples: of the bootstrap.
    """
    if "test" not in store.given_splits:
        return None
    gap = _gap(store, right_val, right_test, seed, resamples)
    found = _features_apart(store, seed)
    apart = found is not None and found["p"] <= ALPHA
    return {
        "given": list(store.given_splits),
        "gap": gap.mean,
        "gap_ci95": gap.within(-1.0),
        "two_sample": found,
        "differ": apart or gap.low > LEAST_GAP,
        "sentence": _sentence(gap, found, apart),
    }


def _gap(store: Store, right_val: np.ndarray, right_test: np.ndarray, seed: int, resamples: int) -> Effect:
    """Balanced accuracy on validation minus that on test, over the classes that both have.

    Both are one mean over twice as many classes: of validation images that count 2 and of test images that count -2.
    """
    val, test = store.split("val").labels, store.split("test").labels
    both = np.intersect1d(val, test)
    here, there = np.isin(val, both), np.isin(test, both)
    right = [right_val[..., here] * 2.0, right_test[..., there] * -2.0]
    labels = np.concatenate([val[here], test[there] + len(store.classes)])
    rng = np.random.default_rng(derive(seed, "classify.bootstrap", "given splits"))
    return estimate(np.concatenate(right, axis=-1), labels, resamples=resamples, rng=rng)


def _features_apart(store: Store, seed: int) -> Tree | None:
    """The test between validation and test images, none of which the embedder has learnt from."""
    train, val, test = (store.split(name) for name in ("train", "val", "test"))
    with one_thread():
        embedder = train_domain_embedder(
            train.images,
            train.labels,
            len(store.classes),
            steps=EMBEDDER_STEPS,
            seed=derive(seed, "classify.given.embedder"),
        )
        rng = np.random.default_rng(derive(seed, "classify.given.permutations"))
        found = two_sample(embedder.embed(val.images), embedder.embed(test.images), val.labels, test.labels, rng)
    if found is None:
        return None
    images = [{"split": name, "images": count} for name, count in zip(("val", "test"), found.images, strict=True)]
    return {"distance": found.distance, "p": found.p, "images": images}


def _sentence(gap: Effect, found: Tree | None, apart: bool) -> str:
    span = f"95 % interval {gap.low * 100:+.1f} to {gap.high * 100:+.1f}"
    higher = f"{gap.mean * 100:+.1f} points ({span})"
    p = f"p = {found['p']:.2g}" if found else "too few images to compare"
    stands = f"the baseline stands {higher} higher on validation than on test"
    so = "what is chosen on validation need not be best on test"
    do = "give a val split of images like those of test"
    if apart and gap.low > 0:
        return (
            f"the given test split comes from elsewhere: {stands}, and within classes the images of the two differ "
            f"({p}); {so}: {do}"
        )
    if apart:
        return (
            f"the given test split comes from elsewhere: within classes its images differ from those of validation "
            f"({p}), though the baseline does not fall beyond chance (validation minus test {higher}); {so}"
        )
    if gap.low > LEAST_GAP:
        return (
            f"the given test split is harder than validation: {stands}, though within classes the images of the two "
            f"cannot be told apart ({p}); {so}: {do}"
        )
    return f"the given test split is like validation as far as can be seen: validation minus test {higher}, {p}"
