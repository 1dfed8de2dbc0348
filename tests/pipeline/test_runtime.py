"""A stage knows the DVC that runs it through whatever starts it, and ends with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import runtime
from pipeline.runtime import OF_A_STAGE, ending_with, stage_ancestors

# stands for DVC: starts a stage by a shell that stays, and says its own number
STARTER = """
import os, subprocess, sys
print(os.getpid(), flush=True)
subprocess.run(["sh", "-c", f"{sys.executable} -c '{sys.argv[1]}'; true"], env=os.environ | {"DVC_STAGE": "train"})
"""
STAGE = """
import signal, time
from pipeline.runtime import ending_with, stage_ancestors
def end(*_): raise KeyboardInterrupt
signal.signal(signal.SIGTERM, end)
try:
    with ending_with(stage_ancestors()):
        print(*stage_ancestors(), flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("ended", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system shows no other process's environment")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_ends_when_what_started_its_shell_is_gone(number: signal.Signals) -> None:
    environment = {name: value for name, value in os.environ.items() if name != OF_A_STAGE}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, STAGE],
        cwd=Path(__file__).parents[2],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    with starter.stdout as said:
        assert int(said.readline()) == starter.pid
        shell, above = map(int, said.readline().split())
        assert above == starter.pid != shell
        os.kill(starter.pid, number)
        starter.wait()
        assert said.read() == "ended\n"  # to its end: nobody holds the pipe any more


# a flow whose worker is gone, and which waits for a server that is gone too
DEAF = """
import signal, time
from pipeline.runtime import ending_with
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
with ending_with([0], patience=0.1):
    time.sleep(1)
time.sleep(60)
"""
ADOPTED = "from pipeline.runtime import adopted; print(adopted(b'STARTED_BY='))"


def _run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=os.environ | path | environment, capture_output=True, text=True, check=False)


def test_what_does_not_end_when_it_is_asked_to_is_killed() -> None:
    done = _run(sys.executable, "-c", DEAF)
    assert (done.stdout, done.returncode) == ("asked\n", -signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell")
def test_a_program_whose_starter_is_gone_can_tell() -> None:
    assert _run(sys.executable, "-c", ADOPTED, STARTED_BY="1").stdout == "False\n"  # this program is its parent
    shell = ("sh", "-c", f'{sys.executable} -c "{ADOPTED}"; true')  # stands for the system's first process
    assert _run(*shell, STARTED_BY="1").stdout == "True\n"
    assert _run(*shell).stdout == "False\n"  # was never started by a Python program


def test_what_was_started_by_hand_watches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OF_A_STAGE, raising=False)
    assert stage_ancestors() == []
    with ending_with([]):
        pass
    monkeypatch.setenv(OF_A_STAGE, "train")
    assert stage_ancestors()[0] == os.getppid()


@pytest.mark.parametrize(
    ("affine", "quota", "expected"), [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.25, 1), (2, 64.0, 2)]
)
def test_a_containers_share_of_the_cores_counts(
    affine: int, quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "open_cores", lambda: affine)
    monkeypatch.setattr(runtime, "core_quota", lambda: quota)
    assert runtime.usable_cores() == expected
