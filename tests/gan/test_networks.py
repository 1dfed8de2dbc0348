"""Sizes, ranges, and what no layer may look at."""

import pytest
import torch

from gan.networks import Shape
from gan.networks.minibatch import MinibatchStd
from tests.gan.kinds import KINDS, build

SIZES = [8, 9, 12, 16, 28, 31, 32, 33, 48, 64, 100, 128, 512]
FAMILY = pytest.mark.parametrize("family", KINDS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@FAMILY
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_both_kinds_of_channels(family: str, size: int, channels: int) -> None:
    shape = Shape(size, channels, classes=2, latent_dim=4, width=4)
    labels = torch.tensor([0, 1])
    images = build(family, "generator", shape)(torch.randn(2, 4), labels)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert build(family, "critic", shape)(images, labels).shape == (2,)


@FAMILY
@pytest.mark.parametrize("size", [8, 9, 13, 33])
def test_every_pixel_reaches_the_score_and_every_pixel_is_drawn(family: str, size: int) -> None:
    shape = Shape(size, 1, classes=1, latent_dim=8, width=8)
    label = torch.zeros(1, dtype=torch.int64)
    image = torch.randn(1, 1, size, size, requires_grad=True)
    (gradient,) = torch.autograd.grad(build(family, "critic", shape)(image, label).sum(), image)
    assert (gradient != 0).all()
    drawn = build(family, "generator", shape)(torch.randn(8, 8), label.expand(8))
    assert (drawn.std(dim=0) > 0).all()


@FAMILY
@pytest.mark.parametrize("part", ["generator", "critic"])
def test_an_image_does_not_see_the_others_of_its_batch(family: str, part: str) -> None:
    """One image changes; the results of the others stay the same, bit for bit."""
    network = build(family, part, Shape(16, 3, classes=4, latent_dim=8, width=8))
    inputs = torch.randn(5, 8) if part == "generator" else torch.randn(5, 3, 16, 16)
    labels = torch.tensor([0, 1, 2, 3, 0])
    before = network(inputs, labels)
    inputs[2] += 1
    after = network(inputs, labels)
    others = [0, 1, 3, 4]
    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[2], after[2])


@FAMILY
@pytest.mark.parametrize("part", ["generator", "critic"])
def test_an_image_in_a_batch_is_the_image_alone(family: str, part: str) -> None:
    network = build(family, part, Shape(16, 3, classes=4, latent_dim=8, width=8)).double()
    inputs = torch.randn(5, 8) if part == "generator" else torch.randn(5, 3, 16, 16)
    inputs, labels = inputs.double(), torch.tensor([0, 1, 2, 3, 0])
    together = network(inputs, labels)
    alone = torch.cat([network(inputs[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)


@FAMILY
def test_with_minibatch_std_an_image_sees_its_group_and_no_other(family: str) -> None:
    critic = build(family, "critic", Shape(8, 3, classes=2, latent_dim=4, width=8, minibatch_std=4))
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8) % 2
    before = critic(images, labels)
    images[1] *= 2
    after = critic(images, labels)
    assert (before[:4] != after[:4]).all()
    assert torch.equal(before[4:], after[4:])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_minibatch_std_appends_the_mean_deviation_of_each_group(layout: torch.memory_format) -> None:
    x = torch.randn(6, 3, 4, 4).contiguous(memory_format=layout)
    y = MinibatchStd(3)(x)
    assert torch.equal(y[:, :3], x)
    for group in (slice(0, 3), slice(3, 6)):
        expected = x[group].numpy().std(axis=0).mean()
        torch.testing.assert_close(y[group, 3], torch.full((3, 4, 4), float(expected)))


def test_minibatch_std_has_a_gradient_where_all_images_are_the_same() -> None:
    x = torch.ones(4, 2, 3, 3, requires_grad=True)
    MinibatchStd(4)(x)[:, 2].sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@FAMILY
def test_the_label_reaches_the_image_and_the_score(family: str) -> None:
    shape = Shape(8, 1, classes=3, latent_dim=8, width=8)
    generator, critic = build(family, "generator", shape), build(family, "critic", shape)
    z = torch.randn(1, 8).expand(3, -1)
    images = generator(z, torch.arange(3))
    assert (images[0] - images[1]).abs().max() > 1e-3
    scores = critic(images[:1].expand(3, -1, -1, -1), torch.arange(3))
    assert len(set(scores.tolist())) == 3


@FAMILY
def test_projection_is_the_inner_product_of_miyato_and_koyama(family: str) -> None:
    """D(x, y) = psi(phi(x)) + <embed(y), phi(x)>: the difference of two labels is linear in the embeddings."""
    critic = build(family, "critic", Shape(8, 1, classes=3, latent_dim=4, width=8))
    x = torch.randn(1, 1, 8, 8)
    zero, one = (critic(x, torch.tensor([label])) for label in (0, 1))
    with torch.no_grad():
        critic.head.embed.weight[2] = (critic.head.embed.weight[0] + critic.head.embed.weight[1]) / 2
    between = critic(x, torch.tensor([2]))
    torch.testing.assert_close(between, (zero + one) / 2)


@FAMILY
def test_no_network_keeps_statistics_of_its_batches(family: str) -> None:
    for part in ("generator", "critic"):
        buffers = dict(build(family, part, Shape(32, 3, 2, 8, 8)).named_buffers())
        known = {"strength", "growth", "kernel", "taps", "path_length"}  # set by others, or never
        assert {name.rpartition(".")[2] for name in buffers} <= known


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(KeyError):
        build("resnet50", "critic", Shape(8, 1, 2, 4, 4))
