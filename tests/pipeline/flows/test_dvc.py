"""What DVC is asked about a project."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.errors import UserError
from pipeline.flows.dvc import out_of_date, stages, tracked_by_git


def made(root: Path, *names: str) -> Path:
    """A project in which each stage makes a file of its name from that of the one before."""
    root.mkdir()
    Repo.init(str(root), no_scm=True).close()
    lines = ["stages:"]
    for before, name in zip(("", *names), names, strict=False):
        deps = f", deps: [{before}]" if before else ""
        lines.append(f"  {name}: {{cmd: touch {name}, outs: [{name}]{deps}}}")
    (root / "dvc.yaml").write_text("\n".join(lines) + "\n")
    return root


def test_a_project_is_asked_about_its_own_stages_from_the_folder_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = made(tmp_path / "here", "one", "two"), made(tmp_path / "there", "two", "three", "four")
    monkeypatch.chdir(here)
    assert stages(there) == ["two", "three", "four"]
    assert stages(there, ["three"]) == ["two", "three"]
    assert out_of_date(there, ["three", "four"]) == ["three", "four"]
    with pytest.raises(UserError, match="one"):
        stages(there, ["one"])
    with monkeypatch.context() as patch, Repo(str(there)) as repo:
        patch.chdir(there)
        repo.reproduce()
    assert out_of_date(there, stages(there)) == []
    (there / "two").write_text("other")
    assert out_of_date(there, stages(there)) == ["two", "three"]
    assert out_of_date(here, stages(here)) == ["one", "two"]


def test_a_folder_within_a_larger_dvc_project_has_its_own_stages_and_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    train = "{cmd: cp ../../prepare/clean a, deps: [../../prepare/clean], outs: [{a: {cache: false}}]}"
    for folder, text in (
        (".", "top: {cmd: touch top, outs: [top]}"),
        ("prepare", "clean: {cmd: touch clean, outs: [clean]}"),
        ("sets/tiles", f"train: {train}"),
        ("sets/tiles/inner", "deep: {cmd: touch deep, outs: [deep]}"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "dvc.yaml").write_text(f"stages:\n  {text}\n")
    tiles = tmp_path / "sets" / "tiles"
    for here, project in ((tmp_path, "sets/tiles"), (tmp_path / "prepare", "../sets/tiles"), (tiles, ".")):
        monkeypatch.chdir(here)
        assert stages(Path(project)) == ["../../prepare/dvc.yaml:clean", "train"]
        assert out_of_date(Path(project), stages(Path(project))) == ["../../prepare/dvc.yaml:clean", "train"]
        assert stages(tmp_path) == ["top"]
        assert stages(tmp_path, ["sets/tiles/dvc.yaml:train"]) == [
            "prepare/dvc.yaml:clean",
            "sets/tiles/dvc.yaml:train",
        ]
    with Repo(str(tiles)) as repo:
        repo.reproduce()
    assert out_of_date(tiles, stages(tiles)) == []
    assert tracked_by_git(tiles) == [tmp_path / "prepare" / "dvc.lock", tiles / "dvc.lock", tiles / "a"]
