from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.classifier.training import ExtraPass, Recipe, fit
from pipeline.experiment.adjustment import Counts, adjustable, adjusted, best_adjusted, class_mass
from pipeline.experiment.arms import Arm
from pipeline.experiment.trial import Predictions
from pipeline.params import ClassifyParams

TRAIN, SYNTHETIC, ALONE = np.array([60, 30, 10]), np.array([0, 30, 50]), np.array([50, 50, 50])
COUNTS = Counts(TRAIN, SYNTHETIC, ALONE)


class Prior(nn.Module):
    """Logits of 0, whatever the images: so the gradient of its bias is -π, up to a constant, in any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.total = torch.zeros(3)
        self.bias.register_hook(lambda gradient: self.total.add_(gradient))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, 3)."""
        return self.bias.expand(len(images), 3)


def _measured(arm: Arm, params: ClassifyParams) -> np.ndarray:
    """The class mass that a whole training shows, from its gradients alone."""
    network, counts = Prior(), TRAIN if arm.images == "real" else ALONE
    labels, second = np.repeat(np.arange(3), counts), np.repeat(np.arange(3), SYNTHETIC)
    extra = ExtraPass(
        np.zeros((len(second), 1, 8, 8), np.uint8), np.arange(len(second)), second,
        params.synthetic_weight, params.second_batch, params.synthetic_until, params.pretrain,
    )  # fmt: skip
    images = np.zeros((len(labels), 1, 8, 8), np.uint8)
    how = {"seed": 0, "steps": params.steps, "batch_size": params.batch_size, "lr": 0.0, "recipe": arm.recipe}
    fit(network, images, labels, extra=None if arm.extra == "none" else extra, **how)  # type: ignore[arg-type]
    gradient = -network.total.numpy()  # Σ weight (π - 1/3)
    both = round(params.synthetic_until * params.steps) if arm.extra != "none" else 0
    weight = params.steps - (both if params.pretrain else 0) + both * params.synthetic_weight
    return gradient / weight + 1 / 3


@pytest.mark.parametrize(
    ("arm", "choices"),
    [
        (Arm("a", Recipe()), {}),
        (Arm("a", Recipe("weights")), {}),
        (Arm("a", Recipe("oversampling")), {}),
        (Arm("a", Recipe(mix="mixup")), {}),
        (Arm("a", Recipe("oversampling", mix="cutmix")), {}),
        (Arm("a", Recipe(mix="cmo")), {}),
        (Arm("a", Recipe(), extra="synthetic"), {}),
        (Arm("a", Recipe("weights"), extra="copies"), {"synthetic_weight": 2.0, "synthetic_share": 2.0}),
        (Arm("a", Recipe(mix="cmo"), extra="synthetic"), {"synthetic_until": 0.5}),
        (Arm("a", Recipe("oversampling"), extra="synthetic"), {"synthetic_until": 0.25, "pretrain": True}),
        (Arm("a", Recipe(), images="synthetic"), {}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else f"{value.recipe.balance}-{value.recipe.mix}",
)
def test_the_class_mass_is_what_the_losses_gradients_show(arm: Arm, choices: dict[str, float]) -> None:
    params = ClassifyParams(steps=400, batch_size=30, **choices)  # type: ignore[arg-type]
    tolerance = 0.02 if arm.recipe.balance == "weights" or arm.recipe.mix == "cmo" else 0.005
    np.testing.assert_allclose(class_mass(arm, COUNTS, params), _measured(arm, params), atol=tolerance)


def test_a_retrained_head_has_seen_all_classes_equally_often() -> None:
    arm = Arm("retrained", Recipe(head="retrained"))
    for one in (arm, replace(arm, extra="synthetic")):
        assert not adjustable(class_mass(one, COUNTS, ClassifyParams()))


def _predictions(val: np.ndarray) -> Predictions:
    return Predictions(val.astype(np.float32), val.astype(np.float32), np.zeros(0, np.int64))


def test_adjusted_logits_are_those_of_the_paper_up_to_a_constant() -> None:
    logits, mass = np.random.default_rng(0).normal(size=(2, 1, 9, 3)), np.array([0.7, 0.2, 0.1])
    found = adjusted(_predictions(logits), mass, 1.5).test
    expected = torch.from_numpy(logits) - 1.5 * torch.from_numpy(mass).log()
    np.testing.assert_allclose(torch.from_numpy(found).softmax(-1), expected.softmax(-1), atol=1e-6)
    unseen = adjusted(_predictions(np.zeros((1, 1, 1, 3))), np.array([0.8, 0.2, 0.0]), 1.0).test[0, 0, 0]
    assert unseen.tolist() == pytest.approx([0, np.log(4), 0])


def test_of_a_bayes_classifier_one_is_chosen_and_wins_what_balancing_wins() -> None:
    """Two normal densities at ±1 in proportions of 9 to 1: the best balanced accuracy has its threshold at 0."""
    rng, mass = np.random.default_rng(0), np.array([0.9, 0.1])
    labels = np.repeat([0, 1], 2000)
    x = rng.normal(np.where(labels, 1.0, -1.0))
    logits = np.stack([np.zeros_like(x), 2 * x], axis=-1) + np.log(mass)
    tau, better = best_adjusted(_predictions(logits[None, None]), mass, labels)
    assert tau == 1.0
    hits = (better.test[0, 0].argmax(-1) == labels, logits.argmax(-1) == labels)
    after, before = (np.mean([hit[labels == c].mean() for c in (0, 1)]) for hit in hits)
    assert after == pytest.approx(0.841, abs=0.02)
    assert after > before + 0.08


def test_where_nothing_is_gained_the_least_is_chosen() -> None:
    labels = np.array([0, 1, 2])
    sure = _predictions(50 * np.eye(3)[None, None])
    assert best_adjusted(sure, np.array([0.7, 0.2, 0.1]), labels)[0] == 0.0
    tau, same = best_adjusted(_predictions(np.zeros((1, 1, 3, 3))), np.full(3, 1 / 3), labels)
    assert tau == 0.0
    assert not same.test.any()


def test_tau_names_no_other_training() -> None:
    arm = Arm("a", Recipe(), lr=1e-2)
    assert replace(arm, tau=1.0).key() == arm.key()
