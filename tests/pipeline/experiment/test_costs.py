"""What the estimate counts is what the experiment trains."""

import numpy as np
import pytest

from pipeline.classifier.network import SmallResNet
from pipeline.experiment.costs import Steps, measure, planned, seconds
from pipeline.experiment.search import trainings
from pipeline.params import ClassifyParams

PARAMS = [ClassifyParams(), ClassifyParams(seeds=5, draws=1, tuning_seeds=1, doses=(1.0,), tuning=((1e-2, 1e-2),))]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("params", PARAMS)
def test_it_counts_every_classifier(params: ClassifyParams, alone: bool) -> None:
    count = sum(each for _, each, _ in planned(params, alone))
    assert count == pytest.approx(trainings(params, len(params.doses), alone))


def test_a_second_pass_and_questions_are_paid_where_they_are_asked_for() -> None:
    params = PARAMS[0].model_copy(update={"tuning": PARAMS[0].tuning * 2})  # stacks of four
    count = sum(each for _, each, _ in planned(params))
    assert 0.85 * count < seconds(params, Steps(1.0, 0.0, 0.0), 0) / params.steps < count
    extra = sum(each for arm, each, _ in planned(params) if arm.extra != "none" and arm.recipe.head == "joint")
    assert seconds(params, Steps(0.0, 1.0, 0.0), 0) / params.steps == pytest.approx(extra)
    assert seconds(params, Steps(0.0, 0.0, 1.0), 7) == pytest.approx(7 * count)


def test_small_stacks_cost_more_each() -> None:
    single = ClassifyParams(tuning=((1e-2, 1e-2),))
    one = sum(each for _, each, _ in planned(single)) * single.steps
    assert seconds(single, Steps(1.0, 0.0, 0.0), 0) > one


def test_steps_are_measured_of_classifiers_of_any_kind() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    found = measure(
        lambda seed: SmallResNet(2, 1, 8, seed=seed), ClassifyParams(batch_size=8), images, np.arange(40) % 2
    )
    assert found.main > 0 and found.asked > 0 and found.second >= 0
