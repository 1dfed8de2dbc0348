"""What is timed before a project is made: few large images, and smaller ones in the place of the largest."""

import pytest

from gan.config import Config
from pipeline.experiment.costs import Steps
from pipeline.params import ClassifyParams, TrainParams
from pipeline.projects import measuring
from pipeline.projects.measuring import _few


@pytest.mark.parametrize(
    ("side", "choices", "images"),
    [
        (8, {}, 32),
        (64, {}, 32),
        (128, {}, 8),
        (512, {}, 2),
        (512, {"minibatch_std": 4}, 4),  # whole groups
        (512, {"packing": 2, "minibatch_std": 2}, 4),
        (512, {"batch_size": 1}, 1),
    ],
)
def test_as_many_pixels_are_timed_as_a_batch_of_64_has(side: int, choices: dict[str, int], images: int) -> None:
    assert _few(Config(**{"kimg": 1, "batch_size": 32} | choices), side) == images


def test_images_of_512_pixels_are_told_by_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def timed(trainer: object) -> float:
        sides.append(trainer.generator.shape.image_size)  # type: ignore[attr-defined]
        return 1.0

    def classifier(build: object, params: object, images: object, labels: object) -> Steps:
        sides.append(images.shape[-1])  # type: ignore[attr-defined]
        return Steps(1.0, 2.0, 0.5)

    monkeypatch.setattr(measuring, "seconds_per_iteration", timed)
    monkeypatch.setattr(measuring.costs, "measure", classifier)
    choices = TrainParams(family="dcgan", width=4, device="cpu"), ClassifyParams(device="cpu")
    small, large = (measuring.measure(*choices, side, 1, [30, 30]) for side in (128, 512))
    assert sides == [128, 128, 128, 128]
    assert large.kimg_seconds == pytest.approx(16 * small.kimg_seconds)
    assert large.classifier == Steps(16.0, 32.0, 8.0)
    assert large.memory > 4 * (small.memory - measuring.PROGRAM) + measuring.PROGRAM
