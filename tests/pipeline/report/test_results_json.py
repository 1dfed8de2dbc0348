"""``augmint results --json``: what a script reads, held against the files themselves."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from tests.pipeline.report.made_project import make


def test_it_is_what_the_files_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["results", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    utility = json.loads((tmp_path / "metrics" / "utility.json").read_text())
    assert found["figures"]["utility"] == utility
    assert (found["verdict"], found["sentence"]) == (utility["verdict"], utility["sentence"])
    assert found["report"] == "report/index.html"


def test_without_a_run_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["results", "--json"])
    assert result.exit_code == 2
    assert result.stdout == ""
