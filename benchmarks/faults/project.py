"""A tiny project of the repository's digits, its stages as a user runs them, and what they leave, byte for byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
STAGES = {
    "ingest": ("data/store", "metrics/ingest.json"),
    "train": ("models", "plots/train", "metrics/train.json"),
    "evaluate": ("plots/evaluate", "metrics/quality.json"),
    "export": ("synthetic", "metrics/export.json"),
    "classify": ("plots/classify", "metrics/utility.json", "classifier", "report"),
}
TINY = {
    "train": {"kimg": 1, "width": 8, "latent_dim": 16, "grid_kimg": 1, "checkpoint_seconds": 0},
    "evaluate": {"samples": 120, "repeats": 2, "embedder_steps": 10, "gates": {}},
    "export": {"balance": 120, "format": "imagefolder"},
    "classify": {
        **{"seeds": 5, "draws": 1, "doses": [0.5, 1.0], "tuning": [[2e-2, 5e-2]], "tuning_seeds": 1},
        **{"steps": 5, "width": 8, "bootstrap": 200},
    },
}
# what lacks is to be found while writing: the stages would else refuse a small disk ahead
AUGMINT = "import pipeline.checks.after as after; after.BYTES_SPARE = -(1 << 40); import pipeline.cli as c; c.main()"


class Project:
    """A project in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lay(self) -> None:
        """Makes it: parameters and data."""
        (self.root / "data").mkdir(parents=True)
        shutil.copy(REPOSITORY / "data" / "digits.zip", self.root / "data")
        for group, values in TINY.items():
            self._edit(group, values)

    def _edit(self, group: str, values: object) -> None:
        yaml, file = YAML(), self.root / "params.yaml"
        content = yaml.load((file if file.exists() else REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
        content[group] = content[group] | values if isinstance(values, dict) else values
        with file.open("w", encoding="utf-8") as out:
            yaml.dump(content, out)

    def become(self, other: "Project", seed: int | None = None) -> None:
        """Begins again as a copy of another one, with a seed of its own and thus other results if one is given."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(other.root, self.root)
        if seed is not None:
            self._edit("seed", seed)

    def ready_for(self, stage: str) -> "Project":
        """A copy beside this one, whose seed is another and in which ``stage`` can run."""
        ready = Project(self.root.with_name("ready"))
        ready.become(self, seed=1)
        if stage == "export":
            ready.must_run("evaluate")  # export takes no figures of another seed
        return ready

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts ``augmint`` here, in a process group of its own."""
        environment = os.environ | {"TMPDIR": str(self.root), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(
            [sys.executable, "-c", AUGMINT, *command],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Runs ``augmint`` here to its end; the exit code, and the last line of what was said."""
        process = self.start(*command)
        said, _ = process.communicate()
        lines = said.strip().splitlines()
        return process.returncode, "a traceback" if "Traceback" in said else (lines or [""])[-1]

    def must_run(self, *command: str) -> None:
        """As :meth:`run`; what does not end with exit code 0 ends this program too."""
        code, said = self.run(*command)
        if code:
            raise SystemExit(f"{' '.join(command)}: exit code {code}: {said}")

    def outputs(self, stage: str) -> dict[str, bytes]:
        """Every file of a stage's outputs, and whatever hidden lies beside them."""
        places = [self.root / name for name in STAGES[stage]]
        files = [path for place in places for path in (place, *place.rglob("*"))]
        files += [path for place in places for path in place.parent.glob(".*.part")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.is_file()}
