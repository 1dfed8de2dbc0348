"""The folds of a study by the workers of a cluster, which run their stages; this process alone keeps what they made.

A worker writes to the fold's scratch folder, which nobody else has in work. `dvc repro` then finds every stage of the
fold finished, and writes its output: once, however often the fold was begun.
"""

import os
import secrets
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeline.atomic import remove
from pipeline.errors import INTERRUPTED, TERMINATED, BusyError
from pipeline.flows.processes import run_guarded
from pipeline.runtime import THREADS
from pipeline.study import beacon
from pipeline.workers import CHOICE, Workers
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.study.folds import Fold  # with torch, which a worker that starts a program need not wait for

Take = Callable[[str], None]


@dataclass(frozen=True)
class FoldWork:
    """Runs the stages of a fold on any worker, as a program of its own.

    Attributes:
        project: its absolute folder.
        beacon: see :mod:`pipeline.study.beacon`.
        environment: how many threads it computes with, and that its stages stay on that machine.
    """

    project: Path
    beacon: Path
    environment: tuple[tuple[str, str], ...]

    program: ClassVar[tuple[str, ...]] = ("augmint", "study-work")

    def __call__(self, fold: str) -> None:
        """Runs fold ``fold``, whose lines go to a file that :func:`by_workers` passes on.

        Raises:
            UserError: a stage failed.
            BusyError: it was stopped, or failed for a reason that may pass by itself.
        """
        lines: list[str] = []
        with _log(self.project, fold).open("a", encoding="utf-8") as file:

            def take(line: str) -> None:
                lines.append(line)
                print(line, file=file, flush=True)

            take(f"study: fold {fold} is begun on {socket.gethostname()}")
            command = [*self.program, fold, str(self.beacon)]
            code = run_guarded(command, self.project, take, dict(self.environment))
        if code in (INTERRUPTED, TERMINATED):
            raise BusyError(f"fold {fold} was stopped; the same command goes on with it")
        if code:
            from pipeline.flows import dvc

            raise dvc.failure(lines[-500:], code)


def by_workers(
    project: Path, workers: Workers, at_once: int | None, folds: "Sequence[Fold]", take: "Callable[[Fold], Take]"
) -> "Generator[Fold, None, None]":
    """Folds whose stages are finished, as they come.

    Args:
        workers: not entered yet; those of a cluster.
        at_once: folds in work at most; None for as many as there are workers.
        take: makes, for a fold, what gets the lines that its stages print.

    Raises:
        UserError: a fold failed; what others have finished stays.
        BusyError: as :meth:`pipeline.workers.Crew.as_done`, or as a fold.
    """
    names = [str(fold) for fold in folds]
    environment = tuple(_environment().items())  # before a cluster is started here, which may set some of it
    with workers, _waiting(project, {str(fold): take(fold) for fold in folds}) as token:
        work = FoldWork(project.absolute(), token, environment)
        with workers.crew(work) as crew:
            for number, _ in crew.as_done(names, at_once):
                yield folds[number]


def _environment() -> dict[str, str]:
    """As many threads as a fold would have here, on which its bytes depend; and no cluster of its own."""
    import torch

    threads = str(torch.get_num_threads())
    return {CHOICE: "local", **{name: os.environ.get(name, threads) for name in THREADS}}


def _folder(project: Path) -> Path:
    return Workspace(project.absolute()).scratch / "folds"


def _log(project: Path, fold: str) -> Path:
    return _folder(project) / f"{fold}.log"


@contextmanager
def _waiting(project: Path, takers: dict[str, Take]) -> Iterator[Path]:
    """While the body runs, a beacon says so, and what the folds print is passed on."""
    token = _folder(project) / secrets.token_hex(8)
    logs = {_log(project, name): take for name, take in takers.items()}
    token.parent.mkdir(parents=True, exist_ok=True)
    for log in logs:
        remove(log)
    beacon.beat(token, 0)
    over = threading.Event()
    thread = threading.Thread(target=_pass_on, args=(token, logs, over), daemon=True, name="folds")
    thread.start()
    try:
        yield token
    finally:
        over.set()
        thread.join()
        for path in (token, *logs):
            remove(path)


def _pass_on(token: Path, logs: dict[Path, Take], over: threading.Event) -> None:
    read, number, last = dict.fromkeys(logs, 0), 0, False
    while not last:
        last = over.wait(beacon.SECONDS)
        number += 1
        beacon.beat(token, number)
        for log, take in logs.items():
            with suppress(OSError):  # not there yet, or a network that does not answer for the moment
                read[log] += _taken(log, read[log], take)


def _taken(log: Path, start: int, take: Take) -> int:
    """Passes on the whole lines from ``start`` on; returns their bytes."""
    with log.open("rb") as file:
        file.seek(start)
        whole = file.read().rpartition(b"\n")[0]
    for line in whole.decode("utf-8", "replace").splitlines():
        take(line)
    return len(whole) + bool(whole)
