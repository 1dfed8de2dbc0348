"""One process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import BusyError
from pipeline.locks import alone

HOLD = """
import sys, time
from pathlib import Path
from pipeline.locks import alone
with alone(Path(sys.argv[1]), "a training"):
    print("held", flush=True)
    time.sleep(300)
"""


def test_a_second_holder_is_told_the_first_ones_pid_until_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "lock"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, env=environment)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(BusyError, match=rf"a training is in work in this folder \(PID {other.pid}\)"),
            alone(lock, "a training"),
        ):
            pass
    finally:
        other.kill()
        other.wait()
    with alone(lock, "a training"):
        assert lock.read_text() == f"{os.getpid()}\n"
