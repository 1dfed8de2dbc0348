"""A family is one object: what it brings reaches training and sampling without an edit elsewhere.

``Counting`` and its terms are small enough to be reckoned by hand; ``styled`` has what a StyleGAN2 and a progressive
network have: a mapping with style mixing and truncation, a path-length term, and an image that grows.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gan.checkpoint import load_generator, save_network
from gan.config import Config
from gan.memory import peak_bytes
from gan.networks import FAMILIES, Family, Network, Shape, build, resnet
from gan.networks.family import Critic, GeneratorStep
from gan.sampler import Sampler
from gan.trainer import FIGURES, Trainer
from tests.gan.test_trainer import CPU, bars, weights

SEEN: list[tuple[str, float]] = []
TOY = {"latent_dim": 4, "width": 4, "n_critic": 3}


class Counting(resnet.Generator):
    """The residual generator with a buffer of floats and one of counts, both of which move as it is trained."""

    level: Tensor
    calls: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return super().forward(z, labels)


def schedule(network: Network, share: float) -> None:
    SEEN.append((type(network).__name__, share))
    if isinstance(network, Counting) and network.training:
        network.level.fill_(share)


def small_weights(generator: Network, made: GeneratorStep) -> Tensor:
    assert isinstance(generator, Counting)
    count = len(made.labels)
    assert made.latents.shape == (count, 4) and made.images.shape == (count, 1, 8, 8)
    return 0.5 * generator.to_image.weight.square().sum()


def centred(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
    return 10 * critic(real, labels).mean().square() + critic(fake, labels).square().mean()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the toy families for one test; ``bare`` is ``toy`` without terms."""
    SEEN.clear()
    toy = Family(Counting, resnet.Critic, (centred,), (small_weights,), schedule, TOY)
    monkeypatch.setitem(FAMILIES, "toy", toy)
    monkeypatch.setitem(FAMILIES, "bare", Family(Counting, resnet.Critic, schedule=schedule, defaults=TOY))
    monkeypatch.setitem(FAMILIES, "styled", STYLED)


pytestmark = pytest.mark.usefixtures("register")


def made(family: str, **choices: object) -> Trainer:
    config = Config.of("gan", family=family, **({"kimg": 0.16, "batch_size": 16} | choices))
    return Trainer.on_images(config, bars(), 0, CPU)


# By hand -------------------------------------------------------------------------------------------------------------


def test_its_defaults_stand_below_the_recipes_and_the_users() -> None:
    config = Config.of("gan", family="toy", kimg=1)
    assert (config.latent_dim, config.width) == (4, 4)
    assert config.n_critic == 1  # the recipe says so
    assert Config.of("gan", family="toy", kimg=1, width=9).width == 9
    assert Config.of("gan", family="toy", kimg=1, width=None).width == 4


def test_a_term_of_the_generator_is_part_of_its_loss_and_moves_its_weights() -> None:
    """Equal critics judge equal images, so what differs is the term ½‖W‖², whose gradient is W."""
    loss = FIGURES.index("generator_loss")
    pair = {name: made(name, critic_lr=1e-30) for name in ("toy", "bare")}
    weight = pair["toy"].generator.to_image.weight.detach().clone()
    figures = {name: trainer.iteration() for name, trainer in pair.items()}
    gradients = {name: trainer.generator.to_image.weight.grad for name, trainer in pair.items()}
    difference = float(figures["toy"][loss] - figures["bare"][loss])
    assert difference == pytest.approx(float(weight.square().sum()) / 2, rel=1e-4)
    torch.testing.assert_close(gradients["toy"] - gradients["bare"], weight, rtol=1e-3, atol=1e-5)


def test_a_term_of_the_critic_is_part_of_its_loss() -> None:
    trainer = made("toy", packing=2, augment=(), penalty="none")
    before, batches, gradients = copy.deepcopy(trainer.critic), [], trainer._gradients
    trainer._gradients = lambda *batch: (batches.append(batch), gradients(*batch))[1]
    found = float(trainer.iteration()[FIGURES.index("critic_loss")])
    ((real, fake, labels, *_),) = batches
    with torch.no_grad():
        of_real, of_fake = before(real, labels), before(fake, labels)
    plain = nn.functional.softplus(-of_real).mean() + nn.functional.softplus(of_fake).mean()
    assert found == pytest.approx(float(plain + 10 * of_real.mean() ** 2 + (of_fake**2).mean()), rel=1e-4)


def test_terms_of_the_critic_are_compiled_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = torch.compile
    monkeypatch.setattr("torch.compile", lambda f, **options: compile_with(f, backend="aot_eager", **options))
    eager, compiled = (made("toy", compiled=choice) for choice in (False, True))
    for _ in range(2):
        torch.testing.assert_close(compiled.iteration(), eager.iteration(), rtol=1e-4, atol=1e-5)


def test_its_schedule_is_told_for_all_three_networks() -> None:
    made("toy").iteration(0.25)
    assert SEEN == [("Counting", 0.25), ("Critic", 0.25), ("Counting", 0.25)]


def test_the_memory_is_that_of_the_end_of_its_schedule() -> None:
    peak_bytes(Config.of("gan", family="toy", kimg=1, batch_size=16), Shape(8, 1, 2, 4, 4), CPU)
    assert {share for _, share in SEEN} == {1.0}


def test_buffers_of_floats_are_averaged_and_others_copied() -> None:
    trainer = made("toy", ema_kimg=0.01)  # half-lives of 1.6 and 3.2 images at the start, and 16 an iteration
    for share, half_life in ((0.5, 1.6), (0.75, 3.2)):
        before = float(trainer.ema.level)
        trainer.iteration(share)
        decay = 0.5 ** (16 / half_life)
        assert float(trainer.ema.level) == pytest.approx(decay * before + (1 - decay) * share, rel=1e-6)
        assert float(trainer.ema.level) != share
        assert trainer.ema.calls == trainer.generator.calls > 0


def test_a_part_that_no_family_has_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        build("resnet", "encoder", Shape(8, 1, 2, 4, 4))


# Styles, truncation, path lengths, growth ----------------------------------------------------------------------------


class Growing(Network):
    """A network with a level in [0, 1] that fades its details in."""

    level: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.register_buffer("level", torch.zeros(()))

    def faded(self, images: Tensor) -> Tensor:
        """(N, C, H, W): at level 0 the means of 2x2 pixels, at 1 the images themselves."""
        coarse = nn.functional.interpolate(nn.functional.avg_pool2d(images, 2), scale_factor=2.0)
        return torch.lerp(coarse, images, self.level)


class Styled(Growing):
    """A generator with a mapping to styles of its own."""

    path_length: Tensor
    middle: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.embed = nn.Embedding(shape.classes, shape.latent_dim)
        self.map = nn.Linear(2 * shape.latent_dim, 2 * shape.width)
        self.draw = nn.Linear(2 * shape.width, shape.channels * shape.image_size**2)
        self.register_buffer("path_length", torch.zeros(()))
        self.register_buffer("middle", torch.zeros(2 * shape.width))

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """(N, L) and (N,) to (N, 2 width)."""
        return torch.relu(self.map(torch.cat([z, self.embed(labels)], dim=1)))

    def images(self, styles: Tensor) -> Tensor:
        """(N, 2 width) to (N, C, H, W)."""
        side = self.shape.image_size
        return self.faded(torch.tanh(self.draw(styles)).view(len(styles), -1, side, side))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        styles = self.styles(z, labels)
        if not self.training:
            return self.images(torch.lerp(self.middle, styles, 0.7))
        self.middle.lerp_(styles.detach().mean(dim=0), 0.1)
        half = self.shape.width
        return self.images(torch.cat([styles[:, :half], styles.roll(1, 0)[:, half:]], dim=1))


class Fading(Growing):
    """A critic of faded images."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.inner = resnet.Critic(shape)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.inner(self.faded(images), labels)


def path_lengths(generator: Network, made: GeneratorStep) -> Tensor:
    """Karras et al. 2020, eq. 4: lengths of ∂(image · noise)/∂style keep to their running mean; every other time."""
    assert isinstance(generator, Styled)
    if made.iteration % 2:
        return torch.zeros(())
    styles = generator.styles(made.latents, made.labels)
    images = generator.images(styles)
    noise = torch.randn(images.shape, generator=made.rng) / generator.shape.image_size
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    lengths = gradient.square().sum(dim=1).sqrt()
    generator.path_length.lerp_(lengths.detach().mean(), 0.1)
    return 2 * (lengths - generator.path_length).square().mean()


def grow(network: Network, share: float) -> None:
    assert isinstance(network, Growing)
    network.level.fill_(min(1.0, 2 * share))


STYLED = Family(Styled, Fading, (), (path_lengths,), grow, {"latent_dim": 4, "width": 4})


def test_a_styled_and_growing_network_is_trained_resumed_shipped_and_sampled(tmp_path: Path) -> None:
    whole, first, resumed = (made("styled") for _ in range(3))
    for _ in range(10):
        whole.iteration()
    for _ in range(3):
        first.iteration()
    resumed.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(7):
        resumed.iteration()
    assert torch.equal(weights(whole), weights(resumed))
    assert float(whole.generator.path_length) > 0
    assert float(whole.ema.level) == 1
    save_network(tmp_path, "generator", whole.ema, {"family": "styled"})
    shipped = Sampler(load_generator(tmp_path)[0], 0).draw(1, 0, 8)
    assert torch.equal(shipped, Sampler(whole.ema, 0).draw(1, 0, 8))
    assert (shipped.float().std(dim=0) > 0).any()


def test_a_family_has_random_numbers_of_its_own_from_the_projects_seed() -> None:
    torch.manual_seed(1)
    one = made("styled")
    one.iteration()
    torch.manual_seed(2)
    same = made("styled")
    same.iteration()
    assert torch.equal(weights(one), weights(same))
    numbers = []

    def noted(generator: Network, step: GeneratorStep) -> Tensor:
        numbers.append(torch.rand(4, generator=step.rng))
        return torch.zeros(())

    FAMILIES["noted"] = Family(resnet.Generator, resnet.Critic, generator_terms=(noted, noted))
    try:
        for seed in (0, 1):
            trainer = Trainer.on_images(
                Config.of("gan", family="noted", kimg=1, batch_size=16, width=4), bars(), seed, CPU
            )
            trainer.iteration()
            trainer.iteration()
    finally:
        del FAMILIES["noted"]
    assert len({tuple(one.tolist()) for one in numbers}) == 8  # two terms, two iterations, two seeds


def test_growth_begins_with_coarse_images() -> None:
    trainer = made("styled")
    trainer.iteration(0.0)
    z, labels = torch.randn(4, 4), torch.arange(4) % 2
    coarse = trainer.fakes(z, labels)
    assert torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])
    trainer.iteration(0.5)
    fine = trainer.fakes(z, labels)
    assert not torch.equal(fine[..., ::2, ::2], fine[..., 1::2, 1::2])
