"""Kills every stage at random moments, and looks at what it leaves and at how the next run ends.

    python -m benchmarks.faults.kills [--times N] [STAGE...]

A stage has finished before with another seed: after a kill and one more command, which fails, there must be all of
those outputs, byte for byte, or all of the new ones. The same stage, run again to its end, must give the bytes of a run
that nobody disturbed. Half of the kills end the process alone, as a system short of memory does, half all that it
started; some come upon a run that goes on after a kill.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.project import STAGES, Project

TIMES = 24
FAILING = ("sample", "--class", "none", "--out", "x.png")


@dataclass
class Tally:
    """What came of the kills of one stage; ``ended`` counts runs that came to their end first, which are no kills."""

    kills: int = 0
    ended: int = 0
    mixed: int = 0
    resumed: int = 0
    differing: int = 0

    @property
    def good(self) -> bool:
        """All is as promised."""
        return not self.mixed and not self.differing

    def __str__(self) -> str:
        return (
            f"{self.kills} kills: {self.mixed} left some old and some new; {self.resumed} runs after them, "
            f"{self.differing} ended in other bytes ({self.ended} more ended before their kill)"
        )


def killed(project: Project, stage: str, seconds: float, alone: bool) -> bool:
    """Runs a stage that SIGKILL ends after some seconds; False if it came to its end before."""
    process = project.start(stage)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        if alone:
            process.kill()
            process.communicate()  # to the end of all that holds its output, thus of what it started
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def trial(project: Project, before: Project, stage: str, times: int) -> Tally:
    """Kills one stage so many times, from what all left in ``before``."""
    chance, tally = random.Random(stage), Tally()
    ready = before.ready_for(stage)
    project.become(ready)
    old, began = project.outputs(stage), time.monotonic()
    project.must_run(stage)
    whole, new = time.monotonic() - began, project.outputs(stage)
    assert old != new
    project.become(ready)
    while tally.kills < times:
        if not killed(project, stage, chance.uniform(0, whole), alone=tally.kills % 2 == 1):
            tally.ended += 1
            project.become(ready)
            continue
        tally.kills += 1
        assert project.run(*FAILING)[0] == 2
        tally.mixed += project.outputs(stage) not in (old, new)
        if chance.random() < 0.5 or tally.kills == times:
            tally.resumed += 1
            project.must_run(stage)
            tally.differing += project.outputs(stage) != new
            project.become(ready)
    return tally


def main(times: int, stages: list[str]) -> int:
    """Prints a line a stage; the exit code is 1 if something is not as promised."""
    with tempfile.TemporaryDirectory() as scratch:
        project, before, good = Project(Path(scratch, "project")), Project(Path(scratch, "before")), True
        before.lay()
        for stage in STAGES:
            before.must_run(stage)
        for stage in stages:
            tally = trial(project, before, stage, times)
            good &= tally.good
            print(f"{stage:9} {tally}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"{', '.join(STAGES)}; all if left out")
    parser.add_argument("--times", type=int, default=TIMES, help="kills a stage; %(default)s if left out")
    given = parser.parse_args()
    sys.exit(main(given.times, given.stages or list(STAGES)))
