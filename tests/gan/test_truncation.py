"""Truncation moves images towards the middle of their class, and changes no bit where it is off."""

import pytest
import torch
from torch import Tensor

from gan.ensemble import Ensemble
from gan.networks import Network, Shape
from gan.networks.stylegan2 import Generator
from gan.sampler import BLOCK, Sampler
from gan.truncation import CENTRE, Truncated, truncated
from tests.gan.kinds import KINDS, build

SHAPE = Shape(8, 1, classes=3, latent_dim=8, width=8)
LABELS = torch.tensor([0, 2, 1, 2])
FAMILY = pytest.mark.parametrize("family", KINDS)


def made(family: str, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build(family, "generator", SHAPE).eval().requires_grad_(False)


@FAMILY
def test_one_is_off_and_less_brings_images_nearer_to_each_other(family: str) -> None:
    generator = made(family)
    off = Sampler(generator, 3).draw(1, 0, BLOCK)
    assert torch.equal(Sampler(generator, 3, truncation=1.0).draw(1, 0, BLOCK), off)
    spread = [
        Sampler(generator, 3, truncation=psi).draw(1, 0, BLOCK).float().std(dim=0).mean() for psi in (1.0, 0.6, 0.2)
    ]
    assert spread[0] > spread[1] > spread[2] > 0


@FAMILY
def test_a_request_is_a_slice_of_the_one_sequence_all_the_same(family: str) -> None:
    generator = made(family)
    whole = Sampler(generator, 3, truncation=0.5).draw(1, 0, 2 * BLOCK)
    assert torch.equal(Sampler(generator, 3, truncation=0.5).draw(1, 20, 30), whole[20:50])


@pytest.mark.parametrize("psi", [0.0, 0.3])
def test_styles_are_pulled_to_the_mean_of_their_class(psi: float) -> None:
    """The mean of far more latents, drawn elsewhere; 0 gives the image of that mean."""
    generator, z = made("stylegan2"), torch.randn(4, 8)
    assert isinstance(generator, Generator)
    means = [generator.mapping(torch.randn(50_000, 8), torch.full((50_000,), label)).mean(dim=0) for label in range(3)]
    w, m = generator.mapping(z, LABELS), torch.stack([means[label] for label in LABELS])
    layers = len(generator.convs) + 1

    def drawn(w: Tensor) -> Tensor:
        return generator.drawn(w[:, None].expand(-1, layers, -1), z)

    found, expected = Truncated(generator, psi)(z, LABELS), drawn(m + psi * (w - m))
    error, moved = ((found - one).abs().mean() for one in (expected, drawn(w)))
    assert error < 0.1 * moved  # the deviation of a mean of CENTRE
    assert CENTRE >= 1000
    if psi == 0:
        assert torch.equal(found[1], found[3])  # both of class 2
        assert not torch.equal(found[0], found[1])


def test_a_network_without_styles_gets_a_shorter_latent_vector() -> None:
    generator, z = made("resnet"), torch.randn(4, 8)
    assert torch.equal(Truncated(generator, 0.3)(z, LABELS), generator(0.3 * z, LABELS))


def test_each_member_of_an_ensemble_keeps_to_its_own_middle() -> None:
    members = [made("stylegan2", seed) for seed in range(2)]
    whole = Sampler(Ensemble(members), 3, truncation=0.5).draw(1, 0, 2 * BLOCK)
    z = torch.randn(2 * BLOCK, 8, generator=torch.Generator().manual_seed(0))
    assert len(whole) == 2 * BLOCK
    both = truncated(Ensemble(members), 0.5)(z, torch.ones(2 * BLOCK, dtype=torch.int64))
    for turn, member in enumerate(members):
        alone = Truncated(member, 0.5)(z[turn::2], torch.ones(BLOCK, dtype=torch.int64))
        torch.testing.assert_close(both[turn::2], alone)


@pytest.mark.parametrize("psi", [0.0, -0.1, 1.01, float("nan")])
def test_what_is_no_share_is_refused(psi: float) -> None:
    with pytest.raises(ValueError, match="truncation"):
        Sampler(made("resnet"), 0, truncation=psi)
