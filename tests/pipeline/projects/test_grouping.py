"""Names that speak of patients, parts or scenes, and names that only look so."""

import re

import numpy as np
import pytest

from pipeline.projects.grouping import likely_groups
from pipeline.sources import Listing

CLASSES = ("benign", "malign")


def listing(names: list[str]) -> Listing:
    """The same names in both classes."""
    paths = [f"{c}/{name}" for c in CLASSES for name in names]
    labels = np.repeat([0, 1], len(names))
    return Listing(paths, labels, CLASSES, np.full(len(paths), -1, np.int8))


GROUPED = {
    "patient before a number": [f"patient{p}_{i}.png" for p in range(12) for i in range(4)],
    "folder of a part": [f"part {p}/view-{i}.jpg" for p in range(15) for i in range(3)],
    "copies in brackets": [f"scan {p} ({i}).png" for p in range(100, 140) for i in range(1, 4)],
    "scene and frame": [f"s{p:02d}-{i:05d}.jpg" for p in range(20) for i in range(5)],
    "key, kind and number": [f"p{p}-left_{i}{x}.png" for p in range(11) for i in range(2) for x in "ab"],
}
ALONE = {
    "running numbers": [f"{i:04d}.png" for i in range(80)],
    "the class and a number": [f"img_{i}.png" for i in range(80)],
    "random names": [f"{i * 7919 % 99991:x}.jpg" for i in range(80)],
    "a few cameras": [f"exp{c}_num_{i}.jpg" for c in range(6) for i in range(60)],
    "numbers of a camera": [f"DSC_{i}.JPG" for i in range(1000, 1080)],
}


@pytest.mark.parametrize("case", GROUPED)
def test_groups_are_found(case: str) -> None:
    found = likely_groups(listing(GROUPED[case]))
    assert found is not None
    keys = [re.search(found.pattern, path)[1] for path in found.example]  # type: ignore[index]
    assert keys[0] == keys[1]
    assert 10 <= found.count <= 40


@pytest.mark.parametrize("case", ALONE)
def test_none_are_made_up(case: str) -> None:
    assert likely_groups(listing(ALONE[case])) is None


def test_those_of_the_source_come_first() -> None:
    some = listing(GROUPED["scene and frame"])
    assert likely_groups(Listing(some.paths, some.labels, CLASSES, some.splits, ["x"] * len(some))) is None
