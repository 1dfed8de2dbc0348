"""What the flows do without a server: the guard, DVC's order and failures, names, pictures and the verdict's text."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from pipeline.errors import BusyError, UserError
from pipeline.flows import guard
from pipeline.flows.dvc import failure
from pipeline.flows.processes import run_guarded

GUARD = [sys.executable, "-P", guard.__file__]
# a parent and a child that say so, as dvc and its stage are; the child ends cleanly on SIGINT alone
PAIR = """
import subprocess, sys
child = "import time\\ntry:\\n print('ready', flush=True)\\n time.sleep(300)\\nexcept KeyboardInterrupt: print('saved')"
try:
    process = subprocess.Popen([sys.executable, "-c", child])
    process.wait()
except KeyboardInterrupt:
    process.wait()
"""
LEAVING = """
import subprocess, sys
print('ready', flush=True)
subprocess.Popen(["sleep", "300"])
"""
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(300)"
)


# the guard's own steps, in a tenth of their time
HURRIED = """
import sys
from pipeline.flows import guard
guard.ESCALATION = [(after / 10, number) for after, number in guard.ESCALATION]
code = guard.Guard(sys.argv[1:]).run()
sys.exit(code if code >= 0 else 128 - code)
"""
DEAF = STUBBORN.replace("SIG_IGN)", "SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)")


def held(script: str, guarded: Sequence[str] = GUARD) -> subprocess.Popen[str]:
    """A guard whose command has said that it is ready."""
    process = subprocess.Popen(
        [*guarded, sys.executable, "-c", script],
        env=_importing(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


@pytest.mark.parametrize("end", [close, subprocess.Popen.terminate, lambda p: p.send_signal(signal.SIGINT)])
def test_the_guard_ends_all_of_its_command_by_an_interrupt(end: Callable[[subprocess.Popen[str]], None]) -> None:
    process = held(PAIR)
    group = psutil.Process(process.pid).children(recursive=True)
    assert len(group) == 2
    end(process)
    assert process.stdout is not None
    assert process.stdout.read() == "saved\n"
    process.wait()
    assert not any(member.is_running() for member in group)


def test_the_guard_outlives_a_holder_that_is_killed_only_to_end_its_command(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom pipeline.flows.processes import run_guarded\n"
        f"run_guarded([sys.executable, '-c', {PAIR!r}], Path(), lambda line: print(line, flush=True))\n"
    )
    holder = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=_importing())
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    group = psutil.Process(holder.pid).children(recursive=True)
    assert len(group) == 3
    holder.kill()
    holder.wait()
    _, alive = psutil.wait_procs(group, timeout=20)
    assert not alive


@pytest.mark.parametrize(("script", "ended_by"), [(STUBBORN, signal.SIGTERM), (DEAF, signal.SIGKILL)])
def test_the_guard_insists(script: str, ended_by: signal.Signals) -> None:
    process = held(script, [sys.executable, "-c", HURRIED])
    began = time.monotonic()
    close(process)
    assert process.wait() == 128 + ended_by
    assert time.monotonic() - began >= {number: after for after, number in guard.ESCALATION}[ended_by] / 10
    assert guard.ESCALATION[-1] == (20.0, signal.SIGKILL)  # before Prefect does, after 30


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts orphans")
def test_the_guard_ends_the_flow_of_a_worker_that_was_killed() -> None:
    flow = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {STUBBORN!r}], start_new_session=True)"
    process = held(flow, [sys.executable, "-c", HURRIED])
    worker, orphan = psutil.Process(process.pid).children(recursive=True)
    worker.kill()
    assert process.wait() == 128 + signal.SIGKILL
    assert not orphan.is_running()


def test_the_guard_ends_what_its_command_leaves_behind() -> None:
    process = held(LEAVING)
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert process.wait() == 0


def test_output_comes_whole_and_the_exit_code_as_it_was(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "import sys\nfor i in range(50000): print(i)\nprint('over', file=sys.stderr)\nsys.exit(3)"
    assert run_guarded([sys.executable, "-c", script], tmp_path, lines.append) == 3
    assert lines[:50000] == [str(i) for i in range(50000)]
    assert lines[-1] == "over"


def test_an_exception_in_the_holder_ends_the_program(tmp_path: Path) -> None:
    before, children = set(psutil.Process().children(recursive=True)), set[psutil.Process]()

    def fail(line: str) -> None:
        if not children:
            children.update(set(psutil.Process().children(recursive=True)) - before)
            raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="ready"):
        run_guarded([sys.executable, "-c", PAIR], tmp_path, fail)
    assert children
    assert psutil.wait_procs(children, timeout=30)[1] == []


@pytest.mark.parametrize(
    ("lines", "kind", "reason"),
    [
        (
            [
                "augmint: params.yaml:3: unknown key",
                "did you mean `seed`?",
                "ERROR: failed: augmint train, exited with 2",
            ],
            UserError,
            "params.yaml:3: unknown key\ndid you mean `seed`?",
        ),
        (
            ["augmint: the GPU has no room", "ERROR: failed to run: augmint train, exited with 75"],
            BusyError,
            "the GPU has no room",
        ),
        (["ERROR: failed to run: augmint train, exited with -9"], BusyError, "exited with -9"),
        (["ERROR: 'params.yaml' is busy, it is being blocked by:"], BusyError, "is busy"),
        (["ERROR: failed to run: augmint train, exited with 1"], UserError, "exited with 1"),
        (["some words"], UserError, "exit code 255"),
    ],
)
def test_a_failure_says_why_and_whether_it_may_pass(lines: list[str], kind: type[UserError], reason: str) -> None:
    error = failure(lines, 255)
    assert type(error) is kind
    assert reason in str(error)


def test_flows_import_no_torch() -> None:
    # whose import would cost every run, however little it has to do, more seconds than all the rest
    flows = ", ".join(f"pipeline.flows.{name}" for name in ("augment", "refresh", "export_set", "sweep", "study"))
    script = (
        f"import sys, {flows}; print([name for name in ('torch', 'torchvision', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=_importing(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _importing() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
