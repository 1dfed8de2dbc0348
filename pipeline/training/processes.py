"""A training by several processes: how ``torchrun`` is asked for them, and what comes back.

``torchrun`` starts a group of processes anew when one of them dies, and the first one goes on from the run's state. So
what a user has to mend must not look like a death: the first process writes it down and ends in peace.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan.following import release
from gan.ranks import Ranks, joined
from pipeline.errors import BusyError, UserError
from pipeline.params import Params, params_of
from pipeline.runtime import usable_cores
from pipeline.workspace import Workspace

OUTCOME = "AUGMINT_OUTCOME"  # an environment variable: the file in which the first process says how it ended
TASK = "AUGMINT_TASK"  # the same: the file that says what to train, and where
RESTARTS = 3  # of a group in which a process died
KINDS = {error.exit_code: error for error in (UserError, BusyError)}


def launch(params: Params, workspace: Workspace) -> None:
    """Runs ``augmint train`` in ``train.processes`` processes on this machine, and waits for their end.

    What to train is handed over to them, see :func:`handed_over`: it may be a fold of a study, and processes that are
    started anew go on with the params.yaml that the training was begun with.

    Raises:
        UserError: as the first process raised it.
        BusyError: a process died again and again.
    """
    processes = params.train.processes
    workspace.scratch.mkdir(parents=True, exist_ok=True)
    outcome, task = (workspace.scratch / f"train_{name}.json" for name in ("outcome", "task"))
    outcome.unlink(missing_ok=True)
    choices = params.model_dump(mode="json", exclude_unset=True)  # what was not said stays for the recipe to say
    task.write_text(json.dumps({"root": str(workspace.root), "params": choices}), encoding="utf-8")
    environment = os.environ | {OUTCOME: str(outcome.resolve()), TASK: str(task.resolve())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))
    options = ["--standalone", "--nproc-per-node", str(processes), "--max-restarts", str(RESTARTS)]
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "augmint", "train"]
    # of a session of its own: a terminal's Ctrl-C must reach the processes once, by way of torchrun
    with subprocess.Popen(command, env=environment, start_new_session=True) as group:
        try:
            code = group.wait()
        except KeyboardInterrupt:
            group.send_signal(signal.SIGTERM)
            with suppress(KeyboardInterrupt):
                group.wait()
            raise
        finally:
            task.unlink(missing_ok=True)
    if not outcome.exists():
        raise BusyError(
            f"train: the {processes} processes ended with exit code {code}, {RESTARTS} new starts included; what they "
            "said stands above; the same command goes on from the last checkpoint"
        )
    said = json.loads(outcome.read_text(encoding="utf-8"))
    outcome.unlink()
    if said["code"]:
        raise KINDS.get(said["code"], UserError)(said["message"])


def handed_over(params: Params, workspace: Workspace) -> tuple[Params, Workspace]:
    """What :func:`launch` was to train; in a process that somebody else started, what is given."""
    if TASK not in os.environ:
        return params, workspace
    task = json.loads(Path(os.environ[TASK]).read_text(encoding="utf-8"))
    return params_of(task["params"]), Workspace(Path(task["root"]))


@contextmanager
def among_others(device: str) -> Iterator[Ranks]:
    """Within, this process is one of those that share each batch; the first one releases the others at its end.

    Args:
        device: ``cuda`` or ``cpu``.

    Raises:
        UserError: the body raised it, and nobody waits for a written word on it.
    """
    with joined(device) as ranks:
        if ranks.rank:
            for number in (signal.SIGINT, signal.SIGTERM):  # the first one decides when all of them stop
                signal.signal(number, signal.SIG_IGN)
            try:
                yield ranks
            except UserError:
                if OUTCOME not in os.environ:  # where the first one's word does not reach this machine
                    raise
            return
        try:
            yield ranks
            _write_down(0, "")
        except UserError as error:
            if not _write_down(error.exit_code, str(error)):
                raise
        finally:
            with suppress(RuntimeError):  # they are gone already, which is why this one ends
                release(ranks)


def _write_down(code: int, message: str) -> bool:
    file = os.environ.get(OUTCOME)
    if file:
        Path(file).write_text(json.dumps({"code": code, "message": message}), encoding="utf-8")
    return bool(file)
