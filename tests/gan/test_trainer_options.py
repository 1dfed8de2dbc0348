"""What single options of the configuration do to the loop: packing, clipping, learning rates, compiled steps."""

import shutil

import pytest
import torch
from torch import Tensor

from gan.config import Config
from gan.networks import build
from gan.trainer import Trainer
from tests.gan.test_trainer import CPU, bars

TINY = {"batch_size": 16, "width": 4, "latent_dim": 4}


def captured(config: Config) -> list[tuple[Tensor, ...]]:
    """What the first iteration hands to the critic's gradients: real, fake, labels, alpha a step."""
    trainer = Trainer.on_images(config, bars(), 0, CPU)
    calls: list[tuple[Tensor, ...]] = []
    gradients = trainer._gradients

    def recording(*batch: Tensor) -> Tensor:
        calls.append(batch[:4])
        return gradients(*batch)

    trainer._gradients = recording
    trainer.iteration()
    return calls


@pytest.mark.parametrize("packing", [1, 2, 4])
def test_a_pack_stacks_images_of_one_label_and_has_one_alpha(packing: int) -> None:
    calls = captured(Config(kimg=1, packing=packing, penalty_fraction=1.0, augment=(), **TINY))
    assert len(calls) == 2
    packs = 16 // packing
    for real, fake, labels, alpha in calls:
        assert real.shape == fake.shape == (packs, packing, 8, 8)
        assert labels.shape == alpha.shape == (packs,)
        bright_half = (real[..., 4:].mean(dim=(2, 3)) > real[..., :4].mean(dim=(2, 3))).long()
        assert torch.equal(bright_half, labels[:, None].expand(-1, packing))
        assert len(alpha.unique()) == packs


def test_the_two_images_of_a_pack_are_different_ones() -> None:
    real, *_ = captured(Config(kimg=1, packing=2, augment=(), **TINY))[0]
    assert (real[:, 0] != real[:, 1]).flatten(1).any(dim=1).float().mean() > 0.5


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 16), (0.5, 8), (0.3, 5), (0.01, 1)])
def test_the_penalty_is_taken_on_the_share_asked_for(fraction: float, expected: int) -> None:
    assert len(captured(Config(kimg=1, penalty_fraction=fraction, **TINY))[0][3]) == expected


def test_the_penalised_share_is_of_whole_groups() -> None:
    _, _, _, alpha = captured(Config(kimg=1, penalty_fraction=0.4, minibatch_std=4, **TINY))[0]
    assert len(alpha) == 8


def test_a_batch_that_does_not_part_into_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="groups of 8"):
        Config(kimg=1, batch_size=20, packing=2, minibatch_std=4)


def test_weights_stay_within_the_bound_of_clipping() -> None:
    trainer = Trainer.on_images(Config.of("wgan", kimg=1, weight_clip=0.02, **TINY), bars(), 0, CPU)
    assert max(p.abs().max() for p in trainer.critic.parameters()) > 0.02
    for _ in range(3):
        trainer.iteration()
    assert max(p.abs().max() for p in trainer.critic.parameters()) <= 0.02
    assert max(p.abs().max() for p in trainer.generator.parameters()) > 0.02


def test_learning_rates_rise_from_zero_and_fall_to_it() -> None:
    config = Config(kimg=0.16, n_critic=1, lr_warmup=0.064, lr_decay=0.5, **TINY)
    trainer, rates = Trainer.on_images(config, bars(), 0, CPU), []
    for _ in range(config.iterations):
        trainer.iteration()
        rates.append(trainer.generator_optimizer.lr / config.generator_lr)
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_labels_are_left_out_at_first_and_then_come_in() -> None:
    config = Config(kimg=0.16, n_critic=1, label_delay=0.4, **TINY)
    trainer, strengths = Trainer.on_images(config, bars(), 0, CPU), []
    tables = [trainer.generator.style.embed, trainer.critic.head.embed]
    before = [table.weight.clone() for table in tables]
    z = torch.randn(16, 4)
    for step in range(config.iterations):
        trainer.iteration()
        strengths.append(trainer.label_strength)
        untouched = all(torch.equal(table.weight, old) for table, old in zip(tables, before, strict=True))
        one, other = (trainer.fakes(z, torch.full((16,), label)) for label in (0, 1))
        assert untouched == torch.equal(one, other) == (step < 5), step
    assert strengths == pytest.approx([0, 0, 0, 0, 0, 0.5, 1, 1, 1, 1])


def test_a_run_that_is_resumed_while_labels_come_in_ends_in_the_same_bits() -> None:
    config = Config(kimg=0.16, n_critic=1, label_delay=0.4, **TINY)
    whole, first, second = (Trainer.on_images(config, bars(), 0, CPU) for _ in range(3))
    for _ in range(config.iterations):
        whole.iteration()
    for _ in range(6):
        first.iteration()
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(config.iterations - 6):
        second.iteration()
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, second.state()[name]), name


def test_a_delay_that_leaves_no_time_for_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="label_delay"):
        Config(kimg=1, label_delay=0.9)


def _compiler_missing() -> bool:
    return not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))


WITHOUT_COMPILER = pytest.mark.skipif(_compiler_missing(), reason="no C++ compiler")


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        # a graph with the penalty, and one without
        ("aot_eager", {"label_delay": 0.2, "penalty_every": 2, "lecam": 0.3, "minibatch_discrimination": 4}),
        pytest.param("inductor", {"penalty_every": 1}, marks=WITHOUT_COMPILER),  # slow: the first of the two alone
    ],
)
def test_the_compiled_step_equals_the_eager_one(
    backend: str, options: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three iterations, double backward included; the whole step is one graph, or it would not compile."""
    compile_with = torch.compile
    monkeypatch.setattr("torch.compile", lambda f, **options: compile_with(f, backend=backend, **options))
    # Winograd's last bits, in another order of sums, are seen in Adam's first steps
    monkeypatch.setattr("gan.networks.resnet.convolve", lambda conv, x: conv(x))
    config = {"kimg": 0.128, "n_critic": 2, **options, **TINY}
    eager, compiled = (Trainer.on_images(Config(compiled=c, **config), bars(), 0, CPU) for c in (False, True))
    for _ in range(3):
        torch.testing.assert_close(compiled.iteration(), eager.iteration(), rtol=1e-3, atol=1e-4)
    for one, other in zip(compiled.critic.parameters(), eager.critic.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)  # rounding, through Adam's first steps


def test_the_critic_is_built_for_packs_and_groups() -> None:
    trainer = Trainer.on_images(Config(kimg=1, packing=2, minibatch_std=4, **TINY), bars(), 0, CPU)
    assert trainer.critic.shape.channels == 2
    assert trainer.critic.shape.minibatch_std == 4
    assert trainer.generator.shape.channels == 1
    assert build("resnet", "critic", trainer.critic.shape)(torch.zeros(4, 2, 8, 8), torch.zeros(4).long()).shape == (4,)
