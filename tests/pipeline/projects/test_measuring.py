"""What is timed before a project is made: large images in few, so that it takes seconds at 512 pixels too."""

import pytest

from gan.config import Config
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
