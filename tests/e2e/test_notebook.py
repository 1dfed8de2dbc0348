"""The notebook of ``examples/`` runs from its first cell to its last, and is kept without what a run leaves in it."""

import contextlib
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from augmint import read_verdict
from tests.e2e.conftest import REPOSITORY, Project

NOTEBOOK = REPOSITORY / "examples" / "notebook.ipynb"


def test_it_is_kept_clean() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert set(cell.metadata) == set()
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert not re.findall(r"/(?:home|Users|root|tmp|work|mnt|opt)/|\b[A-Z]:\\\\", text), "a path of one machine"


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "examples").mkdir()
    shutil.copy(REPOSITORY / "data" / "digits.zip", tmp_path / "data")
    environment = Project(tmp_path).environment | {"QUICK": "1", "IPYTHONDIR": str(tmp_path / "ipython")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path / "examples")}})
    with contextlib.chdir(tmp_path):
        client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.get("text", "") for output in outputs)
    verdict = read_verdict(tmp_path / "examples" / "study")
    assert str(verdict) in said
    assert "a batch: (64, 3, 8, 8) (64,)" in said
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "the images side by side, and the verdict's chart"
    assert (tmp_path / "examples" / "study" / "report" / "index.html").is_file()
