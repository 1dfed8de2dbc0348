"""Runs every stage on a file system that is nearly full, then with room again, and looks at what is left.

    python -m benchmarks.faults.disk [STAGE...]

Mounts a small tmpfs, in a namespace of its own where that takes no root. A stage has finished before with another seed:
those are the outputs that must be there, byte for byte, after each run that found no room. With room again the same
command must give the bytes of a run that was never short of it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
STAGES = {
    "ingest": ("data/store", "metrics/ingest.json"),
    "train": ("models", "plots/train", "metrics/train.json"),
    "evaluate": ("plots/evaluate", "metrics/quality.json"),
    "export": ("synthetic", "metrics/export.json"),
    "classify": ("plots/classify", "metrics/utility.json", "report"),
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
ROOM = [0, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096]  # KiB
MIB = 48


class Project:
    """A tiny project on the small disk."""

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
        content = yaml.load((file if file.exists() else REPOSITORY / "params.yaml").read_text())
        content[group] = content[group] | values if isinstance(values, dict) else values
        with file.open("w") as out:
            yaml.dump(content, out)

    def seed(self, number: int) -> None:
        """Chooses other results."""
        self._edit("seed", number)

    def run(self, stage: str) -> tuple[int, str]:
        """Exit code, and the last line of what was said."""
        environment = os.environ | {"TMPDIR": str(self.root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pipeline.cli", stage]
        environment["PYTHONPATH"] = str(REPOSITORY)
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip().splitlines()
        return done.returncode, "a traceback" if "Traceback" in done.stderr else (said or [""])[-1]

    def outputs(self, stage: str) -> dict[str, bytes]:
        """Every file of a stage's outputs, and whatever hidden lies beside them."""
        places = [self.root / name for name in STAGES[stage]]
        files = [path for place in places for path in (place, *place.rglob("*"))]
        files += [path for place in places for path in place.parent.glob(".*.part")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.is_file()}

    def fill(self, room: int) -> None:
        """Takes all of the disk but ``room`` KiB."""
        free = shutil.disk_usage(self.root).free - 1024 * room
        with (self.root / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free))

    def clear(self) -> None:
        """Gives the room back."""
        (self.root / "ballast").unlink(missing_ok=True)


def trial(root: Path, before: Path, stage: str) -> bool:
    """Goes through the sizes for one stage, from what all left in ``before``; True if all is as promised."""
    shutil.copytree(before, root)
    project = Project(root)
    old = project.outputs(stage)
    project.seed(1)
    assert project.run(stage)[0] == 0
    new = project.outputs(stage)
    good = old != new
    for room in ROOM:
        shutil.rmtree(root)
        shutil.copytree(before, root)
        project.seed(1)
        project.fill(room)
        code, said = project.run(stage)
        project.clear()
        kept = project.outputs(stage) == (new if code == 0 else old)
        again = project.run(stage)[0] == 0 and project.outputs(stage) == new
        ended = f"exit {code:3}  {'kept' if kept else 'LOST'}  {'goes on' if again else 'STUCK'}"
        print(f"{stage:9}{room:6} KiB  {ended}  {said}")
        good &= code in (0, 75) and kept and again
        if code == 0:
            break
    shutil.rmtree(root)
    return good


def main(stages: list[str]) -> int:
    """Prints a line a trial; the exit code is 1 if one did not end as promised."""
    with tempfile.TemporaryDirectory() as scratch:
        disk, before = Path(scratch, "disk"), Path(scratch, "before")
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MIB}m", "none", disk], check=True)
        try:
            project, good = Project(before), True
            project.lay()
            for stage in STAGES:
                if project.run(stage)[0]:
                    raise SystemExit(f"{stage} failed: {project.run(stage)}")
                if stage in stages:
                    good &= trial(disk / "project", before, stage)
        finally:
            subprocess.run(["umount", disk], check=True)
    return 0 if good else 1


if __name__ == "__main__":
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, "-m", "benchmarks.faults.disk", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:] or list(STAGES)))
