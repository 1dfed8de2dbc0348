"""Sizes, ranges, and what no layer may look at."""

import pytest
import torch

from gan.networks import Shape, build


@pytest.mark.parametrize("size", [8, 9, 16, 28, 31, 32, 48, 64, 100, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_both_kinds_of_channels(size: int, channels: int) -> None:
    shape = Shape(size, channels, classes=2, latent_dim=4, width=4)
    labels = torch.tensor([0, 1])
    images = build("resnet", "generator", shape)(torch.randn(2, 4), labels)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert build("resnet", "critic", shape)(images, labels).shape == (2,)


@pytest.mark.parametrize("part", ["generator", "critic"])
def test_an_image_does_not_see_the_others_of_its_batch(part: str) -> None:
    shape = Shape(16, 3, classes=4, latent_dim=8, width=8)
    network = build("resnet", part, shape).double()
    inputs = torch.randn(5, 8) if part == "generator" else torch.randn(5, 3, 16, 16)
    inputs, labels = inputs.double(), torch.tensor([0, 1, 2, 3, 0])
    together = network(inputs, labels)
    alone = torch.cat([network(inputs[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)


def test_the_label_reaches_the_image_and_the_score() -> None:
    shape = Shape(8, 1, classes=3, latent_dim=8, width=8)
    generator, critic = build("resnet", "generator", shape), build("resnet", "critic", shape)
    z = torch.randn(1, 8).expand(3, -1)
    images = generator(z, torch.arange(3))
    assert (images[0] - images[1]).abs().max() > 1e-3
    scores = critic(images[:1].expand(3, -1, -1, -1), torch.arange(3))
    assert len(set(scores.tolist())) == 3


def test_projection_is_the_inner_product_of_miyato_and_koyama() -> None:
    """D(x, y) = psi(phi(x)) + <embed(y), phi(x)>: the difference of two labels is linear in the embeddings."""
    critic = build("resnet", "critic", Shape(8, 1, classes=3, latent_dim=4, width=8))
    x = torch.randn(1, 1, 8, 8)
    zero, one = (critic(x, torch.tensor([label])) for label in (0, 1))
    with torch.no_grad():
        critic.embed.weight[2] = (critic.embed.weight[0] + critic.embed.weight[1]) / 2
    between = critic(x, torch.tensor([2]))
    torch.testing.assert_close(between, (zero + one) / 2)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(KeyError):
        build("resnet50", "critic", Shape(8, 1, 2, 4, 4))
