"""`init` proposes a mirror where mirror images are as likely, and nothing where that is not so or cannot be told."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.metrics.symmetry import Asymmetry
from pipeline.params import load_params
from pipeline.projects.mirroring import Mirrored, mirrored, why
from tests.pipeline.metrics.test_symmetry import made
from tests.pipeline.projects.conftest import make_folder
from tests.pipeline.projects.test_starting import init


def of(kinds: tuple[str, str], count: int) -> Mirrored:
    images = np.concatenate([made(kind, count) for kind in kinds])
    labels = np.repeat([0, 1], count)
    return mirrored(lambda rows: images[rows], labels, np.arange(len(images)), 0)


@pytest.mark.parametrize(
    ("kinds", "count", "kind", "said"),
    [
        (("discs", "any way"), 300, "dihedral", "turned by quarters"),
        (("discs", "left or right"), 300, "horizontal", "turned ones differ"),
        (("discs", "left"), 120, "none", "differ"),
        (("discs", "mostly left"), 120, "none", "differ"),
        (("discs", "mostly left"), 12, "none", "cannot be told"),
        (("discs", "any way"), 12, "none", "cannot be told"),
    ],
)
def test_what_is_proposed(kinds: tuple[str, str], count: int, kind: str, said: str) -> None:
    found = of(kinds, count)
    assert found.kind == kind
    assert said in why(found) and not why(found).endswith(".")


def test_no_difference_proves_nothing_where_none_would_be_seen() -> None:
    clear, blurred, rare = (
        Asymmetry(0.5, 0.0, 0.005, 0.05),
        Asymmetry(0.5, 0, 0.02, 0.05),
        Asymmetry(0.5, 0, 0.005, 0.2),
    )
    assert Mirrored(clear, (clear, clear), 1.0).kind == "dihedral"
    assert Mirrored(clear, (clear, blurred), 1.0).kind == "horizontal"
    for found in (Mirrored(clear, (clear,), 0.5), Mirrored(blurred, (), 1.0), Mirrored(rare, (), 1.0)):
        assert found.kind == "none" and "cannot be told" in why(found)


@pytest.mark.usefixtures("quick")
def test_it_stands_in_the_project_with_its_reason(tmp_path: Path) -> None:
    """Noise in the colour of its class has no left, but thirty images of it might not show one."""
    said = init(tmp_path / "study", "--images", make_folder(tmp_path / "fruit")).output
    assert load_params(tmp_path / "study" / "params.yaml").train.mirror == "none"
    assert "train.mirror: none    " in said
    text = (tmp_path / "study" / "params.yaml").read_text(encoding="utf-8")
    assert text.split("  mirror: none")[1].splitlines()[1].lstrip().startswith("# →")
