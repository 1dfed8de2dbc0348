"""The classifiers of all arms as a picture."""

import pytest

from pipeline.experiment.plots import axis_limits
from tests.pipeline.report.made_project import arm


def test_synthetic_images_alone_do_not_press_the_other_arms_together() -> None:
    arms = {"real": arm("real", 0.9), "synthetic": arm("+ synthetic", 0.92), "synthetic_only": arm("only", 0.2)}
    for each in arms.values():
        each["seeds"] = [{"balanced_accuracy": each["balanced_accuracy"]}]
    assert axis_limits(arms) == pytest.approx((88 - 0.3, 94 + 0.3))
    arms["synthetic_only"] |= {"ci95": [0.86, 0.9], "seeds": [{"balanced_accuracy": 0.88}]}
    assert axis_limits(arms)[0] == pytest.approx(86 - 0.3)
