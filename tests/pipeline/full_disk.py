"""Runs the five stages on a small disk of their own that is full, and then is not; prints what came of it as JSON.

unshare -rm python -m tests.pipeline.full_disk FOLDER
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from click.testing import CliRunner

from pipeline.checks import after
from pipeline.cli import main
from pipeline.experiment import runner
from pipeline.training import snapshots

DIGITS = Path(__file__).parents[2] / "data" / "digits.zip"
PARAMS = {
    "train": {"kimg": 0.3, "batch_size": 16, "width": 4, "latent_dim": 8, "grid_kimg": 0.2, "checkpoint_seconds": 0.0},
    "evaluate": {"samples": 120, "repeats": 2, "embedder_steps": 5, "gates": {}},
    "export": {"balance": 160},
    "classify": {
        **{"seeds": 5, "draws": 1, "doses": [0.5], "tuning": [[2e-2, 5e-2]], "tuning_seeds": 1, "force": True},
        **{"steps": 2, "batch_size": 8, "width": 8, "bootstrap": 200},
    },
}
OUTPUTS = {
    "ingest": ("data/store/old", "metrics/ingest.json"),
    "train": ("models/old", "plots/train/old", "metrics/train.json"),
    "evaluate": ("plots/evaluate/old", "metrics/quality.json"),
    "export": ("synthetic/old", "metrics/export.json"),
    "classify": ("plots/classify/old", "metrics/utility.json", "classifier/old", "report/old"),
}
NO_PERMISSION = 77
ROOM = (0, 64)  # KiB: the first write fails, and one in the midst of the work


def contents(stage: str) -> dict[str, str]:
    """What lies where the stage's outputs are, hidden files beside them too."""
    places = [Path(name) if name.endswith(".json") else Path(name).parent for name in OUTPUTS[stage]]
    found = [path for place in places for path in (place, *place.rglob("*"), *place.parent.glob(".*"))]
    return {str(path): path.read_text(errors="replace") for path in found if path.is_file()}


def trial(stage: str) -> list[dict[str, object]]:
    """What the stage does with each room, and then with enough."""
    for name in OUTPUTS[stage]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("old", encoding="utf-8")
    old, results = contents(stage), []
    for room in (*ROOM, None):
        with Path("ballast").open("wb") as ballast:
            free = shutil.disk_usage(".").free
            os.posix_fallocate(ballast.fileno(), 0, 1 if room is None else free - 1024 * room)
        done = CliRunner().invoke(main, [stage])
        Path("ballast").unlink()
        said = done.stderr.strip().splitlines()[-1:]
        results.append(
            {"code": done.exit_code, "said": said, "kept": contents(stage) == old, "error": repr(done.exception)}
        )
    return results


if __name__ == "__main__":
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", sys.argv[1]], check=False).returncode:
        sys.exit(NO_PERMISSION)
    os.chdir(sys.argv[1])
    torch.set_num_threads(1)
    runner.usable_cores = lambda: 1
    snapshots.EMBEDDER_STEPS = 5
    after.BYTES_SPARE = -(1 << 30)  # what lacks is to be found while writing, not ahead
    Path("data").mkdir()
    shutil.copy(DIGITS, "data")
    Path("params.yaml").write_text(json.dumps(PARAMS), encoding="utf-8")
    print(json.dumps({stage: trial(stage) for stage in OUTPUTS}))
