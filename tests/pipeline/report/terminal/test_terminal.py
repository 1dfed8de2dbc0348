"""What the last run found, on the terminal."""

from pathlib import Path

import pytest
from rich.console import Console

from pipeline.report.terminal.acceptance import acceptance_table
from pipeline.report.terminal.quality import print_quality
from pipeline.report.terminal.results import print_results
from tests.pipeline.report.made_project import export, make, quality


def test_the_acceptance_table_leaves_out_classes_without_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=100).print(acceptance_table(export()))
    cells = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert cells == [["tail", "1,400", "94", "200", "1,106", "79.0"]]


def test_results_tell_of_gates_copies_filters_and_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    workspace = make(tmp_path)
    print_results(workspace)
    said = capsys.readouterr().out
    assert "gates: 1 of 3 passed" in said
    assert "copies of train images: 3 exact; suspected 1.1% by pixels (PASS), 1.1% by features (WARN)" in said
    assert "filters (copies, critic): 79.0% of 1,400 proposals kept; least of class tail: 79.0%" in said
    assert said.index("filters") < said.index("HELPS: Use it, says") < said.index("report: ")
    assert "What to do now" not in said  # without params.yaml nobody knows what was chosen
    workspace.metrics("quality").unlink()
    workspace.metrics("export").unlink()
    workspace.params.write_text("seed: 0\n")
    print_results(workspace)
    said = capsys.readouterr().out
    assert "gates:" not in said
    assert said.index("HELPS") < said.index("What to do now:") < said.index("Train with the synthetic images: 2,212")


def test_the_table_of_figures_names_the_missing_classes(capsys: pytest.CaptureFixture[str]) -> None:
    tree = quality() | {"kid": 0.1, "kid_standard_error": 0.01, "missing_classes": ["3", "7"]}
    print_quality(tree)
    assert "Missing, or drawn as something else: '3', '7'." in capsys.readouterr().out
    print_quality(tree | {"missing_classes": []})
    assert "Missing" not in capsys.readouterr().out
