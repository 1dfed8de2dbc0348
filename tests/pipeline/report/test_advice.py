"""What the page says to do: each case out of figures that are made up for it."""

from typing import Any

import pytest

from pipeline.classifier.training import Recipe
from pipeline.experiment.names import describe
from pipeline.figures import FIGURES
from pipeline.params import Params
from pipeline.report.advice import advise
from tests.pipeline.report.made_project import quality, trained, training, utility

CLAIM = Params.model_validate({"train": {"seeds": 3}, "classify": {"seeds": 10}})


def now(params: Params = CLAIM, **figures: Any) -> list[str]:
    return [step.what for step in advise(params, utility() | figures, None, None).now]


def healthy() -> dict[str, Any]:
    copies = {"pixel": {"status": "PASS", "share": 0.01}, "feature": {"status": "PASS", "share": 0.01}}
    return quality() | {"gates": [], "below_floor": [], "missing_classes": [], "copies": copies}


def test_synthetic_images_that_help_are_to_be_used_in_the_dose_that_was_picked() -> None:
    assert now() == ["Train with the synthetic images: 2,212 of them, recipe oversampling + affine."]
    again = now(Params())[1]
    assert again.startswith("Before others are to believe it, set classify.seeds: 10, train.seeds: 3, and run")


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ("mixed", "class weights + RandAugment + CutMix + logit adjustment (τ 0.5)"),
        ("real", "as they are"),
        ("control", "oversampling + affine, with a second pass over copies"),
        ("head", "RandAugment + retrained head, copies of them in its batches"),
    ],
)
def test_what_hurts_is_left_out_and_the_best_training_without_is_named(baseline: str, words: str) -> None:
    arms = utility()["arms"]
    arms["mixed"] = arms["control"] | {"recipe": describe(Recipe("weights", "rand", mix="cutmix"), 0.5)}
    arms["real"] |= {"recipe": describe(Recipe())}
    if baseline == "head":
        baseline, recipe = "control", Recipe(augment="rand", head="retrained")
        arms["control"] |= {"recipe": describe(recipe), "head": recipe.head}
    figures = {"baseline": baseline, "arms": arms}
    assert now(verdict="HURTS", **figures) == [f"Train on real images alone: {words}."]
    assert now(verdict="EQUIVALENT", **figures) == [f"Leave the synthetic images out: {words}."]


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"seeds_to_settle": 27, "ci95": [-0.01, 0.02]}, "Set classify.seeds: 27, and run `dvc repro`."),
        ({"seeds_to_settle": 1400, "ci95": [-0.01, 0.02]}, "Add val and test images"),
        ({"seeds_to_settle": None, "ci95": [-0.01, 0.02]}, "Add val and test images"),
        ({"seeds_to_settle": None, "ci95": [0.001, 0.02]}, "Decide whether so small a gain"),
    ],
)
def test_what_is_open_says_what_would_settle_it(figures: dict[str, Any], words: str) -> None:
    first, second = now(verdict="INCONCLUSIVE", **figures)
    assert first.startswith("Until it is settled, train on real images alone:")
    assert second.startswith(words)


def test_a_class_that_falls_is_named() -> None:
    fallen = [row | {"recall_difference": -0.2} for row in utility()["per_class"]]
    figures = {"verdict": "INCONCLUSIVE", "ci95": [0.001, 0.02], "per_class": fallen}
    assert now(**figures)[1].startswith('Look at class "<script>alert')


def test_gates_and_health_say_what_helps_once_each() -> None:
    better = advise(CLAIM, utility(), quality(), training()).better
    assert [step.why.partition(":")[0] for step in better[:3]] == [
        "Gate failed",
        "Gate failed",
        "Synthetic images may be copies of train images",
    ]
    assert better[0].what == f"{FIGURES['coverage'].remedy.capitalize()}."
    assert [(step.what, step.why) for step in better[3:]] == [
        ("Mend mode collapse.", "Training showed mode collapse (80.0 to 90.0 kimg)."),
        ("Mend divergence.", "Training showed divergence (80.0 to the end)."),
        ("Mend memorising.", "Training showed memorising (80.0 to the end)."),
    ]
    assert advise(CLAIM, utility(), healthy(), trained()).better == []


def test_weak_figures_and_small_classes_matter_where_nothing_helps() -> None:
    weak = healthy() | {"below_floor": ["kid", "coverage", "diversity"]}
    longer, repeating, few = advise(CLAIM, utility() | {"verdict": "HURTS"}, weak, None).better
    assert longer.why == "Worse than unseen real images: Kernel distance (KID), Coverage."
    assert repeating.why == "Worse than unseen real images: Diversity within a class."
    assert few.what == "Gather more real images of class 'tail'."
    assert advise(CLAIM, utility(), weak, None).better == []


def test_without_a_verdict_the_pipeline_has_to_go_on() -> None:
    assert advise(CLAIM, None, healthy(), None).now[0].what == "Run `dvc repro`."
    assert advise(CLAIM, None, quality(), None).now[0].what.startswith("Mend what the gates found")
