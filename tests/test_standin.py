"""On a GPU that is not there: nothing is left on the wrong device, and an iteration neither waits nor copies much."""

import json
import os
import subprocess
import sys
from pathlib import Path

from gan.recipes import RECIPES


def test_an_iteration_copies_once_to_the_device_and_waits_for_nothing() -> None:
    """What waits for a value, such as ``item()`` or a mask that chooses, is an error on tensors without values."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.standin"],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    iterations = {name: copies for name, copies in found.items() if " " in name}
    assert {name.split()[0] for name in iterations} == set(RECIPES)
    for recipe in ("wgan-gp", "r3", "dcgan"):
        assert {"packed", "grouped"} <= {name.split()[-1] for name in iterations if name.startswith(recipe)}
    assert all(copies == {"there": 1, "back": 0} for copies in iterations.values()), iterations
    assert found["look"] == {"there": 1, "back": 0}
    assert found["watch"] == {"there": 2, "back": 0, "at once": 64}  # an iteration, and the look that it brought
    assert {"draw", "classify"} <= found.keys()
