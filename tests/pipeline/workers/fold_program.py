"""Stands in for `augmint study-work FOLD BEACON`: two stages, each once; the worker of fold 0-1 dies between them.

Fold 0-3 never ends by itself.
"""

import os
import signal
import sys
import time
from pathlib import Path

import psutil

from pipeline.locks import alone
from pipeline.study.beacon import ending_with
from pipeline.workers import CHOICE


def stage(fold: str, name: str) -> None:
    """Leaves what it ran, unless it is there."""
    done = Path(f"{fold}.{name}")
    if not done.exists():
        print(f"study: fold {fold}: {name}", flush=True)
        with Path("ran.txt").open("a", encoding="utf-8") as file:
            file.write(f"{fold} {name} {os.environ[CHOICE]} {os.environ['OMP_NUM_THREADS']}\n")
        done.touch()


def main(fold: str, beacon: str) -> None:
    """Runs the fold."""
    with ending_with(Path(beacon)), alone(Path(".augmint/folds", f"{fold}.lock"), "a fold", 60):
        stage(fold, "train")
        if fold == "0-3":
            time.sleep(600)
        if fold == "0-1" and not Path("died").exists():
            Path("died").touch()
            os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)  # the parent is the guard, of the worker
            time.sleep(600)
        stage(fold, "classify")


if __name__ == "__main__":
    main(*sys.argv[1:])
