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

from benchmarks.faults.project import STAGES, Project

ROOM = [0, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096]  # KiB
MIB = 48


def fill(root: Path, room: int) -> None:
    """Takes all of the disk but ``room`` KiB."""
    free = shutil.disk_usage(root).free - 1024 * room
    with (root / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free))


def trial(project: Project, before: Project, stage: str) -> bool:
    """Goes through the sizes for one stage, from what all left in ``before``; True if all is as promised."""
    ready = before.ready_for(stage)
    project.become(ready)
    old = project.outputs(stage)
    project.must_run(stage)
    new = project.outputs(stage)
    good = old != new
    for room in ROOM:
        project.become(ready)
        fill(project.root, room)
        code, said = project.run(stage)
        (project.root / "ballast").unlink()
        kept = project.outputs(stage) == (new if code == 0 else old)
        again = project.run(stage)[0] == 0 and project.outputs(stage) == new
        ended = f"exit {code:3}  {'kept' if kept else 'LOST'}  {'goes on' if again else 'STUCK'}"
        print(f"{stage:9}{room:6} KiB  {ended}  {said}", flush=True)
        good &= code in (0, 75) and kept and again
        if code == 0:
            break
    return good


def main(stages: list[str]) -> int:
    """Prints a line a trial; the exit code is 1 if one did not end as promised."""
    with tempfile.TemporaryDirectory() as scratch:
        disk, before, good = Path(scratch, "disk"), Project(Path(scratch, "before")), True
        before.lay()
        for stage in STAGES:
            before.must_run(stage)
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MIB}m", "none", disk], check=True)
        try:
            for stage in stages:
                good &= trial(Project(disk / "project"), before, stage)
        finally:
            subprocess.run(["umount", disk], check=True)
    return 0 if good else 1


if __name__ == "__main__":
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, "-m", "benchmarks.faults.disk", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:] or list(STAGES)))
