"""Runs made sick on purpose are named, and a healthy one is left in peace."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gan.config import Config
from gan.health import PATIENCE, SIGNS, Classes, Monitor, explosion, overfitting, separation
from gan.probe import EVERY, Probe
from gan.trainer import Labelled, Trainer

CPU = torch.device("cpu")
FEW = {"batch_size": 16, "width": 4, "latent_dim": 4, "kimg": 3.2, "augment": ()}


def bars(count: int, seed: int, noise: int = 60) -> Labelled:
    """A bright half, left or right by class, with noise of an image's own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, noise, (count, 1, 8, 8), dtype=np.uint8)
    images[labels == 0, :, :, :4] += 150
    images[labels == 1, :, :, 4:] += 150
    return Labelled(images, labels, 2)


def ailments(config: Config, train: Labelled, sicken: Callable[[Trainer], None] | None = None) -> set[str]:
    """The alarms of a whole run, with ten readings."""
    trainer = Trainer.on_images(config, train, 0, CPU)
    if sicken:
        sicken(trainer)
    probe, monitor = Probe(trainer, train, bars(64, seed=1)), Monitor()
    for done in range(1, config.iterations + 1):
        trainer.iteration()
        if probe.look():
            trainer.adapt(probe.overfitting, EVERY * config.images_per_iteration)
        if done % (config.iterations // 10) == 0:
            monitor.read(done, done / config.iterations, probe.signals())
    return {alarm.sign.name for alarm in monitor.alarms}


def ignore_latents(trainer: Trainer) -> None:
    forward = trainer.generator.forward
    trainer.generator.forward = lambda z, labels: forward(torch.zeros_like(z), labels)  # type: ignore[method-assign]


def shuffle_labels(trainer: Trainer) -> None:
    forward = trainer.generator.forward
    trainer.generator.forward = lambda z, labels: forward(z, (z[:, 0] > 0).long())  # type: ignore[method-assign]


def test_a_healthy_run_raises_no_alarm() -> None:
    assert ailments(Config(**FEW | {"width": 8, "kimg": 6, "latent_dim": 8}), bars(64, seed=0)) == set()


def test_a_generator_that_ignores_its_latents_has_collapsed() -> None:
    assert "mode collapse" in ailments(Config(**FEW), bars(64, seed=0), ignore_latents)


def test_a_generator_that_mixes_labels_up_is_named() -> None:
    assert "label collapse" in ailments(Config(**FEW), bars(64, seed=0), shuffle_labels)


def test_a_critic_that_learns_too_slowly_is_under_trained() -> None:
    found = ailments(Config(**FEW, critic_lr=1e-5, generator_lr=4e-3, n_critic=1), bars(64, seed=0))
    assert "under-trained critic" in found


def test_a_critic_far_ahead_of_its_generator_is_over_strong() -> None:
    config = Config(**FEW, critic_lr=1e-2, generator_lr=1e-7, loss="logistic", penalty="none")
    assert "over-strong critic" in ailments(config, bars(64, seed=0))


def test_a_critic_that_knows_its_few_images_by_heart_is_memorising() -> None:
    config = Config(
        **FEW | {"width": 16, "kimg": 10}, loss="logistic", penalty="none", n_critic=1, generator_lr=1e-4, lr_decay=0.0
    )
    assert "memorising" in ailments(config, bars(6, seed=0, noise=100))


def test_sizes_that_grow_a_thousandfold_are_divergence_at_once() -> None:
    monitor, sizes = Monitor(), [1.0] * 6
    for reading in range(PATIENCE):
        monitor.read(reading, 0.01, {"explosion": explosion(sizes, 1000.0)})
    assert [alarm.sign.name for alarm in monitor.alarms] == ["divergence"]
    assert explosion(sizes, math.nan) == math.inf
    assert explosion([1.0], 1000.0) == 1.0  # too little to tell


def test_overfitting_is_where_held_out_scores_lie_between_train_and_fake() -> None:
    assert overfitting(train=3.0, held_out=3.0, fake=1.0) == 0
    assert overfitting(train=3.0, held_out=1.0, fake=1.0) == 1
    assert overfitting(train=3.0, held_out=2.5, fake=1.0) == 0.25
    assert overfitting(train=103.0, held_out=102.5, fake=101.0) == 0.25  # the scores' zero does not matter
    assert overfitting(train=1.0, held_out=2.0, fake=1.5) == 0  # fakes score above train images: nothing is learnt yet


def test_separation_is_d_prime() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(2, 3, 100_000), rng.normal(0, 3, 100_000)
    assert separation(real.mean(), fake.mean(), (real - fake).var()) == pytest.approx(2 / 3, abs=0.02)


def test_variance_between_classes_is_what_chance_does_not_explain() -> None:
    rng = np.random.default_rng(0)
    alike = [rng.normal(0, 1, (16, 400)) for _ in range(8)]
    apart = [rng.normal(rng.normal(0, 0.5, 400), 1, (16, 400)) for _ in range(8)]
    assert Classes.of(alike).between == pytest.approx(0, abs=0.02 * 400)
    assert Classes.of(apart).between == pytest.approx(0.25 * 400, rel=0.15)
    assert Classes.of(alike).contrast(Classes.of(apart)) == pytest.approx(0, abs=0.1)
    assert Classes.of(apart).contrast(Classes.of(alike)) is None  # no real difference to compare with
    flat = [np.zeros((16, 400)), *alike[1:]]
    assert Classes.of(flat).diversity(Classes.of(alike)) == 0


def test_an_alarm_needs_patience_to_begin_and_to_end() -> None:
    monitor = Monitor()
    told = [monitor.read(step, 0.5, {"diversity": 0.01 if 2 <= step < 8 else 0.9}) for step in range(14)]
    changes = {step: [str(alarm) for alarm in one] for step, one in enumerate(told) if one}
    assert list(changes) == [1 + PATIENCE, 7 + PATIENCE]
    (alarm,) = monitor.alarms
    assert (alarm.sign.name, alarm.kimg, alarm.until, alarm.value) == ("mode collapse", 4, 10, 0.01)
    assert "packing" in alarm.sign.remedy


def test_a_young_run_is_not_judged() -> None:
    monitor = Monitor()
    for step in range(10):
        assert monitor.read(step, 0.05, {"diversity": 0.0}) == []


def test_a_monitor_comes_back_as_it_was() -> None:
    monitor, again = Monitor(), Monitor()
    for step in range(PATIENCE + 1):
        monitor.read(step, 0.5, {"diversity": 0.0, "separation": -1.0 if step > 1 else 1.0})
    again.load_rows(monitor.rows())
    for one in (monitor, again):
        one.read(9, 0.5, {"diversity": 0.0, "separation": -1.0})
    assert again.alarms == monitor.alarms
    assert [alarm.sign.name for alarm in again.alarms] == ["mode collapse", "under-trained critic"]


def test_every_sign_has_a_remedy_in_one_line() -> None:
    assert all(sign.remedy and "\n" not in sign.remedy for sign in SIGNS)


@pytest.mark.parametrize(("loss", "known"), [("wasserstein", False), ("logistic", True), ("relativistic", False)])
def test_with_few_held_out_images_overfitting_is_known_where_scores_have_a_zero(loss: str, known: bool) -> None:
    train = bars(64, seed=0)
    probe = Probe(Trainer.on_images(Config(**FEW | {"loss": loss}), train, 0, CPU), train, bars(10, seed=1))
    assert probe.overfitting is None
    assert probe.look()
    assert (probe.overfitting is not None) == known
