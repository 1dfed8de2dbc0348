"""A fold for workers, apart from other works, so that a worker that does it need not load torch."""

import sys
from pathlib import Path

from pipeline.flows.fold_workers import FoldWork


class StandInFold(FoldWork):
    """Runs a program that trains nothing."""

    program = (sys.executable, str(Path(__file__).with_name("fold_program.py")))
