"""How tasks end and what their log says; with a server in tests/e2e/prefect."""

import logging
from pathlib import Path

import pytest
from prefect.exceptions import FailedRun, TerminationSignal
from prefect.states import Cancelled, Failed

from pipeline.errors import BusyError, UserError
from pipeline.flows import output as output_module
from pipeline.flows import tasks
from pipeline.flows.output import Output

STAGE = """\
Running stage 'evaluate':
> augmint evaluate
evaluate: training the embedder, 300 steps on 347 images
           341 images a side, domain:ef1d
┏━━━━━━━━┳━━━━━━━┓
┃ figure ┃  real ┃
┡━━━━━━━━╇━━━━━━━┩
│ kid    │ 0.036 │
└────────┴───────┘
KID 0.0365, which is 3 floors
Updating lock file 'dvc.lock'

To track the changes with git, run:

\tgit add dvc.lock

To enable auto staging, run:

\tdvc config core.autostage true
Use `dvc push` to send your updates to remote storage.
augmint: params.yaml:3: unknown key;
did you mean `seed`?
ERROR: failed to reproduce 'evaluate': failed to run: augmint evaluate, exited with 2"""


def test_the_log_holds_what_the_program_has_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(output_module, "get_run_logger", lambda: logging.getLogger("stage"))
    caplog.set_level(logging.DEBUG, "stage")
    output = Output(tmp_path, "evaluate")
    for line in STAGE.splitlines():
        output.take(line)
    told = [record.message for record in caplog.records if record.levelno >= logging.INFO]
    assert told == ["evaluate: training the embedder, 300 steps on 347 images", "KID 0.0365, which is 3 floors"]
    assert [record.message for record in caplog.records] == [line for line in STAGE.splitlines() if line]
    assert list(output.lines) == STAGE.splitlines()


def test_what_a_user_can_mend_is_a_state_and_comes_back_as_it_was() -> None:
    error = BusyError("the GPU is full")

    @tasks.plain
    def fails() -> int:
        raise error

    state = fails()
    assert state.type == "FAILED" and state.message == "the GPU is full"  # type: ignore[union-attr]
    assert tasks.may_pass(None, None, state)  # type: ignore[arg-type]
    with pytest.raises(BusyError) as caught:
        tasks.done(state)
    assert caught.value is error
    assert not tasks.may_pass(None, None, Failed(data=UserError("no such key")))  # type: ignore[arg-type]
    assert tasks.done(tasks.plain(lambda: 3)()) == 3


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_task_is_cancelled_only_if_its_run_is(monkeypatch: pytest.MonkeyPatch, cancelled: bool) -> None:
    monkeypatch.setattr(tasks, "_cancelled", lambda: cancelled)

    @tasks.plain
    def ended() -> None:
        raise TerminationSignal(15)

    if not cancelled:
        with pytest.raises(TerminationSignal):
            ended()
        return
    state = ended()
    assert state.type == "CANCELLED"  # type: ignore[union-attr]
    with pytest.raises(TerminationSignal):
        tasks.done(state)


def test_prefect_says_nothing_twice() -> None:
    tasks.hush()
    log, seen = logging.getLogger("prefect.task_runs"), list[logging.LogRecord]()
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        log.error("Engine execution exited", exc_info=FailedRun("no such key"))
        log.error("Engine execution exited", exc_info=ValueError("a fault"))
        log.error(f"Finished in state {Cancelled(message='Cancelled')}")
        log.error(f"Finished in state {Failed(message='Why')}")
    finally:
        log.removeHandler(handler)
    assert [record.levelname for record in seen] == ["ERROR", "INFO", "ERROR"]
    assert seen[0].exc_info
