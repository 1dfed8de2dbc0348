"""The command line: what a user sees when something is wrong, and what each command is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.runtime import SPINS

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
