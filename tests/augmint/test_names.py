"""``from augmint import …``: what a notebook needs, without what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

import augmint
from pipeline.errors import UserError
from pipeline.store import Store
from pipeline.workspace import Workspace
from tests.pipeline.conftest import digits, digits_store, digits_workspace  # noqa: F401  (fixtures)
from tests.pipeline.report.made_project import make, utility

STABLE = {"Split", "Store", "SyntheticImages", "SyntheticStream", "UserError", "Verdict", "open_store", "read_verdict"}


def test_the_names_are_these() -> None:
    assert set(augmint.__all__) == set(dir(augmint)) == STABLE
    for name in STABLE:
        assert getattr(augmint, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Trainer'; it has"):
        augmint.Trainer  # noqa: B018


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, augmint; print(sorted({'torch', 'numpy', 'pipeline', 'gan'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_package_is_typed() -> None:
    root = Path(augmint.__file__).parents[1]
    assert all((root / package / "py.typed").is_file() for package in ("augmint", "gan", "pipeline"))


def test_a_store_is_opened(digits_workspace: Workspace) -> None:  # noqa: F811
    store = augmint.open_store(str(digits_workspace.root))
    assert isinstance(store, Store)
    assert store.split("train").images.shape[1:] == (1, 8, 8)
    with pytest.raises(augmint.UserError, match="no ingested set here"):
        augmint.open_store(digits_workspace.root / "nothing")


def test_a_verdict_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        augmint.read_verdict(tmp_path)
    make(tmp_path)
    found, known = augmint.read_verdict(tmp_path), utility()
    assert found.verdict == known["verdict"]
    assert (found.difference, list(found.interval)) == (known["delta"], known["ci95"])
    assert str(found).startswith(f"{found.verdict}: ")
