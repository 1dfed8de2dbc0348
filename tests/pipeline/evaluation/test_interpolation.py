"""The way between two latents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gan.checkpoint import save_network
from gan.ensemble import Ensemble
from gan.networks import Shape, build
from pipeline.cli import main
from pipeline.evaluation.interpolation import STEPS, interpolated, slerp, ways
from pipeline.sheets import grid


def test_the_way_is_along_the_circle_and_its_ends_are_the_latents() -> None:
    first, second = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    points = slerp(first, second, 3)
    assert points[0].tolist() == pytest.approx([2, 0], abs=1e-6)
    assert points[1].tolist() == pytest.approx([3 / 2**0.5, 3 / 2**0.5])  # half the angle, mean length
    assert points[2].tolist() == pytest.approx([0, 4], abs=1e-6)


def test_equal_angles_lie_between_neighbours_in_many_dimensions() -> None:
    first, second = torch.randn(2, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.nn.functional.normalize(slerp(first, second, 9), dim=1)
    cosines = (points[1:] * points[:-1]).sum(1)
    assert cosines.tolist() == pytest.approx([float(cosines[0])] * 8)


@pytest.mark.parametrize("second", [[3.0], [-3.0]])
def test_latents_on_one_line_are_joined_straight(second: list[float]) -> None:
    assert slerp(torch.tensor([1.0]), torch.tensor(second), 5).isfinite().all()


def test_a_class_has_its_own_way_and_the_seed_decides_it() -> None:
    torch.manual_seed(0)
    generator = build("resnet", "generator", Shape(8, 1, 3, 4, 4)).eval()
    images = interpolated(generator, 1, seed=0)
    assert images.shape == (STEPS, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert torch.equal(images, interpolated(generator, 1, seed=0))
    assert not torch.equal(images, interpolated(generator, 1, seed=1))
    assert not torch.equal(images, interpolated(generator, 2, seed=0))


@pytest.mark.parametrize("members", [2, 5])  # 12 steps do not part into fives
def test_the_way_of_an_ensemble_is_that_of_its_first_member(members: int) -> None:
    generators = [build("resnet", "generator", Shape(8, 1, 3, 4, 4)).eval() for _ in range(members)]
    assert torch.equal(interpolated(Ensemble(generators), 1, seed=0), interpolated(generators[0], 1, seed=0))


def test_each_way_begins_where_the_one_before_ends() -> None:
    torch.manual_seed(0)
    generator = build("resnet", "generator", Shape(8, 1, 3, 4, 4)).eval()
    images = ways(generator, 1, seed=0, rows=3, steps=5)
    assert images.shape == (3, 5, 1, 8, 8)
    assert (images[1:, 0].int() - images[:-1, -1].int()).abs().max() <= 1  # rounding, through another batch
    assert not torch.equal(images[0, 0], images[0, -1])
    assert torch.equal(ways(generator, 1, seed=0, rows=1, steps=STEPS)[0], interpolated(generator, 1, seed=0))


def test_the_command_writes_the_ways_as_a_picture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, out = build("resnet", "generator", Shape(8, 1, 2, 4, 4)).eval(), tmp_path / "way.png"
    save_network(tmp_path, "generator", generator, {"family": "resnet", "classes": ["cat", "dog"]})

    def run(name: str, picture: Path = out) -> tuple[int, str]:
        given = ["--class", name, "--rows", "2", "--steps", "3", "--seed", "5", "--model", str(tmp_path)]
        result = CliRunner().invoke(main, ["interpolate", *given, "--out", str(picture)])
        return result.exit_code, result.output

    assert run("dog")[0] == 0
    with Image.open(out) as written:
        expected = grid(ways(generator, 1, seed=5, rows=2, steps=3).numpy())
        assert np.array_equal(np.asarray(written.convert("RGB")), np.asarray(expected))
    first = out.read_bytes()
    assert run("dog")[0] == 0 and out.read_bytes() == first
    assert run("bird") == (2, f"augmint: --class bird: the generator in {tmp_path} knows 'cat', 'dog'\n")
    code, said = run("dog", tmp_path / "way.txt")
    assert code == 2 and "not a kind of picture" in said
