"""What reads a store of several files finds what it finds in one of one file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan import real_images
from gan.real_images import RealImages, fetched
from pipeline.classifier.batches import Joined
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import Recipe, features, fit, logits
from pipeline.export.filters import Copies
from pipeline.metrics.distances import kth_nearest, nearest_mirrored
from pipeline.reading.sharded import ShardedArray
from pipeline.store import SPLITS, Split, Store, write_store
from pipeline.study.fold import _blocks


@pytest.fixture(scope="module")
def pair(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Split]:
    """The train split of 70 digits, in one file and in files of 16."""
    images, labels = digits[0][:70], digits[1][:70] % 3
    of = dict(zip(SPLITS, np.split(labels, [50, 60]), strict=True))
    found = []
    for size in (2**28, 16 * images[0].nbytes):
        folder = tmp_path_factory.mktemp("store")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.store.SHARD_BYTES", size)
            write_store(folder, [images], of, ["a", "b", "c"], (1, 8, 8), {})  # type: ignore[arg-type]
        found.append(Store.open(folder).split("train"))
    assert isinstance(found[0].images, np.memmap) and isinstance(found[1].images, ShardedArray)
    return found[0], found[1]


def drawn(split: Split, limit: int) -> torch.Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_images, "RESIDENT_BYTES", limit)
        source = RealImages(split.images, split.labels, 3, 0.5, torch.device("cpu"), "dihedral")
    rng = torch.Generator().manual_seed(0)
    return source.images(fetched(source, source.draw(source.sample_labels(64, rng), rng)))


def trained(split: Split) -> np.ndarray:
    network = SmallResNet(3, 1, 8, seed=0, width=4)
    fit(network, split.images, split.labels, seed=0, steps=2, recipe=Recipe(augment="trivial"))
    return np.concatenate([logits(network, split.images), features(network, split.images)[:, :3]])


LOOKS: dict[str, Callable[[Split], Any]] = {
    "on the device": lambda split: drawn(split, 2**30),
    "read ahead": lambda split: drawn(split, 0),
    "a classifier": trained,
    "nearest": lambda split: nearest_mirrored(np.asarray(split.images[10:30]), split.images, "horizontal"),
    "neighbours": lambda split: kth_nearest(split.images, 3),
    "copies": lambda split: Copies(split.images, 0.2, np.random.default_rng(0)).line,
    "a second pass": lambda split: Joined(split.images[:5], split.images)[np.array([0, 4, 5, 54, 20])],
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_same_is_found(look: str, pair: tuple[Split, Split]) -> None:
    one, other = (LOOKS[look](split) for split in pair)
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_fold_takes_rows_of_all_files(tmp_path: Path, pair: tuple[Split, Split]) -> None:
    rows = np.array([49, 0, 17, 16, 15, 33])
    stores = [Store(tmp_path, {}), Store(tmp_path, {})]
    for store, split in zip(stores, pair, strict=True):
        store.__dict__["images"] = split.images
    one, other = (np.concatenate(list(_blocks(store, rows))) for store in stores)
    np.testing.assert_array_equal(one, other)
