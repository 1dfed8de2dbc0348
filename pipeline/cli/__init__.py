"""The command line. Thin: each command reads the parameters and calls one function, imported when it is needed."""

from pipeline.cli import handing_over, serving, showing, stages, starting, study  # noqa: F401  (they register themselves)
from pipeline.cli.program import main

__all__ = ["main"]
