"""The command line: what a user sees when something is wrong, and what each command is."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pipeline.cli import main, stages
from pipeline.errors import BusyError, UserError
from pipeline.runtime import SPINS
from pipeline.workspace import Workspace

STAGES = ("ingest", "train", "evaluate", "export", "classify")


def test_help_lists_the_stages_and_the_rest() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for name in (*STAGES, "verify", "card", "sample", "results"):
        assert name in shown


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_takes_no_options(stage: str) -> None:
    assert CliRunner().invoke(main, [stage, "--seed", "1"]).exit_code == 2


def test_what_a_user_can_mend_is_one_message_and_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["ingest"], ["evaluate"], ["results"], ["sample", "--class", "a", "--out", "a.png"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2, command
        assert result.stderr.startswith("augmint: ")
        assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        CliRunner().invoke(main, ["--debug", "ingest"], catch_exceptions=False)


def test_a_bad_parameter_of_a_later_stage_stops_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("classify:\n  seeds: 2\n")
    result = CliRunner().invoke(main, ["ingest"])
    assert result.exit_code == 2
    assert "params.yaml:2: classify.seeds: input should be greater than or equal to 5" in result.stderr


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, pipeline.cli; print(sorted({'torch', 'numpy', 'pydantic', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("given", "expected"), [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_are_told_not_to_spin_unless_the_user_says_otherwise(given: dict[str, str], expected: str) -> None:
    code = "import os, pipeline.runtime as r; r.prepare(); print(os.environ['GOMP_SPINCOUNT'])"
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def run_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code and message of a command that ends with ``error``."""

    def fail(name: str, dry_run: bool = False) -> None:
        raise error

    monkeypatch.setattr(stages, "run_stage", fail)
    result = CliRunner().invoke(main, ["train"])
    assert result.stdout == ""
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("mend it"), 2, "augmint: mend it"),
        (BusyError("wait"), 75, "augmint: wait"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "models/a"), 75, "no space left on device: models/a; free"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), 75, "the disk of "),
        (PermissionError(errno.EACCES, "Permission denied", "data/store"), 2, "data/store: Permission denied; mend"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), 2, "a: No such file or directory"),
        (MemoryError(), 75, "train: not enough memory (without a word); close other programs, or lower"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 75, "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), 75, "not enough memory (CUDA out"),
        (KeyError("x"), 70, "an unexpected error: KeyError: 'x', in "),
        (EOFError(), 70, "an unexpected error: EOFError: without a word, in "),
        (AssertionError("one\ntwo"), 70, "an unexpected error: AssertionError: one, in "),
        (RecursionError("deep"), 70, "please report it with the output of `augmint --debug train`"),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), 70, "UnicodeEncodeError"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "Broken pipe"),  # of a worker: stdout is whole
        (KeyboardInterrupt(), 130, "augmint: interrupted"),
        (click.UsageError("no such way"), 2, "Error: no such way"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_message_and_a_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, text = run_with(error, monkeypatch)
    assert ended == code
    assert said in text
    assert "Traceback" not in text
    if not isinstance(error, click.UsageError):
        assert len(text.splitlines()) == 1


def test_memory_that_torch_or_numpy_cannot_have_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    for allocate in (lambda: torch.empty(2**60, dtype=torch.uint8), lambda: np.empty(2**60, np.uint8)):
        try:
            allocate()
        except (RuntimeError, MemoryError) as error:
            code, text = run_with(error, monkeypatch)
            assert (code, "not enough memory" in text) == (75, True), text
        else:
            pytest.fail("there is memory for everything")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 75),  # as the loader says it
        (ImportError("libx.so: cannot open shared object file: No such file or directory"), 70),
    ],
)
def test_memory_that_a_library_cannot_have_is_told_as_such(
    error: ImportError, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, text = run_with(error, monkeypatch)
    assert (found, "not enough memory" in text) == (code, code == 75), text


def test_an_unexpected_error_says_where_it_came_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.params.load_params", lambda path: {}["none"])
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["ingest"])
    assert result.exit_code == 70
    assert "KeyError: 'none', in " in result.stderr
    with pytest.raises(KeyError):
        CliRunner().invoke(main, ["--debug", "ingest"], catch_exceptions=False)


def test_a_reader_that_ends_early_is_no_error(tmp_path: Path) -> None:
    """``augmint train | head -0``: nobody reads any more when the text comes."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "from pipeline import cli; cli.stages.run_stage = lambda *_: print('x' * 100_000); cli.main(['train'])"
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_character_that_the_terminal_lacks_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("日本: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stderr", terminal)
    with pytest.raises(SystemExit) as ended:
        main.main(["ingest"])
    assert ended.value.code == 2
    terminal.flush()
    assert b"params.yaml:1: \\u65e5\\u672c: unknown key" in terminal.buffer.getvalue()


def test_a_closed_output_is_no_fault(tmp_path: Path) -> None:
    """Nor does the next file that is opened take its number, into which libraries print."""
    program = tmp_path / "program.py"
    lines = (
        "import os, sys",
        "from pipeline.cli import main",
        "@main.command()",
        "def nothing():",
        "    file = open('file', 'wb')",
        "    assert file.fileno() > 2 and not sys.stderr.isatty()",
        "    os.write(1, b'one'), os.write(2, b'two'), print('three')",
        "sys.argv = ['augmint', 'nothing']",
        "main()",
    )
    program.write_text("\n".join(lines), encoding="utf-8")
    for closed in ("<&- >&- 2>&-", ">&-", "2>&-"):
        command = f"exec {sys.executable} program.py {closed}"
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, (closed, done.stderr)
        assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    printed = CliRunner().invoke(main, ["completion", shell])
    assert printed.exit_code == 0
    assert f"_AUGMINT_COMPLETE={shell}_complete" in printed.stdout


def test_completion_knows_commands_and_options() -> None:
    words = {"COMP_WORDS": "augmint do", "COMP_CWORD": "1", "_AUGMINT_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main(prog_name='augmint')"],
        env=os.environ | words,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,doctor"]


def test_help_names_the_exit_codes() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for code in ("0 done", "1 what you asked for is not so", "2 what you can mend", "75 ", "70 ", "130 "):
        assert code in shown


def test_check_gives_json(digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(digits_workspace.root)
    (digits_workspace.root / "params.yaml").write_text("export: {balance: 0}\ntrain: {device: cuda}\n")
    result = CliRunner().invoke(main, ["check", "--json"])
    found = json.loads(result.stdout)
    assert {one["stage"] for one in found if one["fatal"]} >= {"export"}
    assert result.exit_code == 2
    (digits_workspace.root / "params.yaml").write_text("export: {balance: 2.0}\n")
    assert CliRunner().invoke(main, ["check", "--json"]).exit_code == 0


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["images/a.png: missing"], 1)])
def test_verify_gives_json(problems: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.export import verify

    monkeypatch.setattr(verify, "verify", lambda *_: verify.Found("0" * 64, problems, 7, 3))
    result = CliRunner().invoke(main, ["verify", "synthetic", "--json"])
    assert result.exit_code == code
    assert json.loads(result.stdout)["problems"] == problems
    assert json.loads(result.stdout)["images"] == 7
