"""One command in one project at a time, each in a forked process, and the rule by which its end is judged.

The rule: the right result, as an independent reader says; or one clear sentence with exit code 2 or 75. Never a
traceback, a crash, a hang or memory without a bound; never other or fewer images than there are in silence; never old
outputs lost.
"""

import argparse
import fnmatch
import importlib
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is there: forked processes share its state

PRELOADED = (
    *("torch", "PIL.Image", "pyarrow.parquet", "pipeline.cli", "pipeline.stages.ingest", "pipeline.stages.check"),
    *("pipeline.sources.tables", "pipeline.sources.archives", "pipeline.export.verify", "pipeline.classifier.network"),
)
SECONDS = 60
"""Of processor time; a command that waits may take four times as long, as it may not be alone on the machine."""

MIB_MORE = 1536
"""What a command may take beside what its imports did: several images of the largest size at once."""

MIB_AT_MOST = 4096
"""Where the system itself says no."""

USER_ERRORS = (2, 75)
LONGEST_MESSAGE = 16  # lines
OUTPUTS = ("data/store", "metrics", "synthetic", "models")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; minus the signal's number if one ended it; None if it had to be stopped.
        said: what it printed.
        mib: memory that it took beside what its imports did.
    """

    code: int | None
    said: str
    mib: int


def run(project: Path, command: Iterable[str], seconds: int = SECONDS) -> Ended:
    """Runs ``augmint`` in ``project``, in a process forked from this one, which has all that it imports."""
    for module in PRELOADED:
        importlib.import_module(module)
    log = project.parent / "said"
    own = Path("/proc/self/status").read_text(encoding="utf-8").partition("RssAnon:")[2].split()[0]
    child = os.fork()
    if not child:
        _become(project, list(command), log, seconds)
    waiting = os.pidfd_open(child)
    stopped = not select.select([waiting], [], [], 4 * seconds)[0]
    if stopped:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    os.close(waiting)
    code = None if stopped else os.waitstatus_to_exitcode(status)
    return Ended(code, log.read_text("utf-8", "replace"), max(0, usage.ru_maxrss - int(own)) >> 10)


def _become(project: Path, command: list[str], log: Path, seconds: int) -> NoReturn:
    """The rest of a forked process: the command line, as the console script would run it."""
    code = 1
    try:
        os.chdir(project)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(said, stream)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", encoding="utf-8", closefd=False) for fd in (1, 2))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        most = _data() + (MIB_AT_MOST << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        spent = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, spent + seconds))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        importlib.import_module("pipeline.cli").main(command, prog_name="augmint")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def nothing_wrong(project: Path, ended: Ended) -> str:  # noqa: ARG001
    """What is right where exit code 0 is."""
    return ""


@dataclass(frozen=True)
class Case:
    """One thing that is wrong, or only strange.

    Attributes:
        name: unique in its kind.
        lay: puts it into a project that is as it should be.
        right: what is wrong after exit code 0, judged by an independent reader; empty for nothing.
        command: the arguments of ``augmint``.
        codes: exit codes of a refusal.
        refused: no result can be right.
        runs: runs the command in a project.
    """

    name: str
    lay: Callable[[Path], object]
    right: Callable[[Path, Ended], str] = nothing_wrong
    command: tuple[str, ...] = ("ingest",)
    codes: tuple[int, ...] = USER_ERRORS
    refused: bool = False
    runs: Callable[[Path, tuple[str, ...]], Ended] = run


@dataclass(frozen=True)
class Judged:
    """``ok``, ``refused`` or ``FAULT``, and why."""

    verdict: str
    why: str


def outputs(project: Path) -> dict[str, bytes]:
    """Every file of a project's outputs, and whatever lies half done beside them."""
    places = [project / name for name in OUTPUTS]
    files = [path for place in places for path in place.rglob("*")]
    files += [path for folder in (project, project / "data") for path in folder.glob(".*.part")]
    return {str(path.relative_to(project)): path.read_bytes() for path in files if path.is_file()}


def judge(case: Case, project: Path, ended: Ended, before: dict[str, bytes]) -> Judged:
    """The rule of this module."""
    if fault := _badly(ended, case.codes):
        return Judged("FAULT", fault)
    if ended.code:
        if outputs(project) != before:
            return Judged("FAULT", "old outputs are changed or lost")
        return Judged("refused", ended.said.strip())
    if case.refused:
        return Judged("FAULT", "exit code 0 for what cannot be right")
    wrong = case.right(project, ended)
    return Judged("FAULT", wrong) if wrong else Judged("ok", "")


def _data() -> int:
    """Bytes that this process has by now of what the limit counts, its imports among them."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(fields["VmData"].split()[0]) << 10


def _badly(ended: Ended, codes: tuple[int, ...]) -> str:
    """What no command may do, whatever its result."""
    if ended.code is None:
        return "still running: it waits for something that does not come"
    if -ended.code in (signal.SIGXCPU, signal.SIGKILL):
        return f"killed, for memory or after {SECONDS} s of processor time"
    if ended.code < 0:
        return f"ended by {signal.Signals(-ended.code).name}"
    if "Traceback (most recent" in ended.said:
        return f"a traceback: {ended.said.strip().splitlines()[-1]}"
    if ended.mib > MIB_MORE:
        return f"took {ended.mib:,} MiB"
    if ended.code and ended.code not in codes:
        return f"exit code {ended.code}: {ended.said.strip()[-200:]}"
    message = ended.said.rpartition("augmint: ")[2].strip()
    if ended.code in USER_ERRORS and (not message or len(message.splitlines()) > LONGEST_MESSAGE):
        return f"exit code {ended.code} without one clear sentence: {ended.said.strip()[-200:]!r}"
    return ""


def main(kind: str, made: Callable[[argparse.Namespace], Iterable[Case]], base: Callable[[Path], object]) -> int:
    """Runs the cases of a kind, prints a table, and each fault with how to repeat it; 1 if there is one.

    Args:
        kind: the module's name.
        made: its cases, by the options.
        base: lays a project that is as it should be, with outputs of an earlier run, into a folder.
    """
    options = _options(kind)
    cases = [case for case in made(options) if _asked(case, options.cases)]
    counts, faults = dict.fromkeys(("ok", "refused", "FAULT"), 0), []
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch, "before", "project")
        before.mkdir(parents=True)
        base(before)
        for case in cases:
            judged = attempt(case, before, Path(scratch, "trial"), options.keep)
            counts[judged.verdict] += 1
            if judged.verdict == "FAULT":
                faults.append((case, judged))
            if options.verbose:
                print(f"{judged.verdict:8}{case.name}: {' '.join(judged.why.split())[:300]}", flush=True)
    print(f"{kind:13}" + "  ".join(f"{count:5} {verdict}" for verdict, count in counts.items()))
    for case, judged in faults:
        print(f"  {case.name}: {judged.why}\n    python -m benchmarks.faults.{kind} --keep FOLDER {case.name!r}")
    return int(bool(faults))


def attempt(case: Case, before: Path, place: Path, keep: Path | None = None) -> Judged:
    """One case in a copy of the project ``before``, made in the new folder ``place`` and gone afterwards."""
    project = place / "project"
    shutil.copytree(before, project, symlinks=True)
    try:
        case.lay(project)
        held = outputs(project)
        return judge(case, project, case.runs(project, case.command), held)
    finally:
        if keep is not None:
            shutil.copytree(place, keep / case.name.replace("/", "_"), symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(place)


def _asked(case: Case, patterns: list[str]) -> bool:
    return not patterns or any(case.name == pattern or fnmatch.fnmatch(case.name, pattern) for pattern in patterns)


def _options(kind: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.faults.{kind}")
    parser.add_argument("cases", nargs="*", help="names or patterns of cases; all if left out")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    parser.add_argument("--keep", type=Path, help="folder to leave the projects in")
    parser.add_argument("--count", type=int, default=500, help="random mutations, where a kind has them")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    return parser.parse_args()
