"""The flow ``study`` on a server that Prefect starts for it; the program that its tasks run is stood in for."""

from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from pipeline.flows import folds
from pipeline.flows.study import study
from tests.pipeline.flows import test_folds

project = test_folds.project


def test_the_flow_maps_the_folds_and_then_says_what_they_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "data" / "digits.zip").write_bytes(b"images")
    monkeypatch.setattr(folds, "sentence", lambda _: "HELPS: they help.")
    with prefect_test_harness(server_startup_timeout=120):
        done = study(project, return_state=True)
    assert done.is_completed() and done.message == "HELPS: they help."
    first, second, *mapped, last = test_folds._ran(project)
    assert (first, second, last) == ("ingest", "study-plan", "study-summary")
    assert sorted(mapped) == ["study-fold 0-0", "study-fold 0-1", "study-fold 0-2"]
