"""Two results side by side: folders, revisions and experiments, and what is wrong with a side."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo

from pipeline.binding import write_figures
from pipeline.cli import main
from pipeline.workspace import Workspace
from tests.pipeline.report import made_project
from tests.pipeline.report.made_project import Page, make, quality, utility

PARAMS = "seed: 41\ntrain: {kimg: 20}\nevaluate:\n  gates: {coverage: '>= 0.5'}\n"


def project(root: Path, params: str = PARAMS, **figures: Any) -> Workspace:
    """Everything that stages leave; ``figures`` are the verdict's that are otherwise."""
    workspace = make(root)
    workspace.params.write_text(params)
    write_figures(workspace.metrics("utility"), utility() | figures)
    return workspace


def compare(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, ["compare", *arguments])


def as_json(*arguments: str) -> dict[str, Any]:
    done = compare(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def values(found: dict[str, Any], figure: str) -> list[Any]:
    (row,) = [row for row in found["figures"] if row["figure"] == figure]
    return [cell and (cell["value"], cell["interval"]) for cell in row["values"]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under Git and DVC: the tag ``first``, the experiment ``trial``, and the folder as it is now."""
    root = tmp_path_factory.mktemp("repository")
    project(root)
    git = ("git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run([*git, "init", "-q"], check=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        patched.setenv("GIT_AUTHOR_NAME", "A")
        patched.setenv("GIT_AUTHOR_EMAIL", "a@example.org")
        patched.setenv("GIT_COMMITTER_NAME", "A")
        patched.setenv("GIT_COMMITTER_EMAIL", "a@example.org")
        with Repo.init(str(root)) as repo:
            repo.add([str(root / "plots" / "evaluate" / "grid.png")])
            repo.add([str(root / "plots" / "train" / "samples.png")])
            subprocess.run([*git, "add", "-A"], check=True)
            subprocess.run([*git, "commit", "-qm", "First"], check=True)
            subprocess.run([*git, "tag", "first"], check=True)
            (root / "params.yaml").write_text(PARAMS.replace("20", "30"))
            repo.experiments.save(name="trial")
        digest = hashlib.md5((root / "plots" / "train" / "samples.png").read_bytes()).hexdigest()
        (root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]).unlink()
    (root / "params.yaml").write_text(PARAMS.replace("20", "40"))
    return root


def test_two_folders(tmp_path: Path) -> None:
    project(tmp_path / "a")
    project(tmp_path / "b", PARAMS.replace("0.5", "0.7").replace("41", "7"), verdict="HURTS", delta=-0.03)
    done = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.exit_code == 0, done.output
    for words in ("HELPS: It helps", "HURTS: It helps", "evaluate.gates.coverage", "+1.25", "\N{MINUS SIGN}3.00"):
        assert words in done.stdout
    found = as_json(str(tmp_path / "a"), str(tmp_path / "b"))
    keys = {row["key"]: row["values"] for row in found["params"]}
    assert keys == {"seed": [41, 7], "evaluate.gates.coverage": [">= 0.5", ">= 0.7"]}
    assert values(found, "delta") == [(0.0125, [0.001, 0.0249]), (-0.03, [0.001, 0.0249])]
    floor = quality()["floor"]["coverage"]
    assert values(found, "coverage") == [(floor["synthetic"], floor["ci95"])] * 2
    assert [side["missing"] for side in found["sides"]] == [{}, {}]


def test_a_revision_an_experiment_and_the_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    found = as_json("first", "trial")
    assert found["params"] == [{"key": "train.kimg", "values": [20.0, 30.0]}]
    for side in found["sides"]:
        assert (
            subprocess.run(["git", "cat-file", "-t", side["revision"]], capture_output=True, check=True).stdout
            == b"commit\n"
        )
        assert list(side["missing"]) == ["plots/train/samples.png"]  # gone from the cache
    found = as_json("trial", ".")
    assert found["params"] == [{"key": "train.kimg", "values": [30.0, 40.0]}]
    assert found["sides"][1] == {"name": ".", "revision": None, "missing": {}, "notes": []}
    assert values(found, "delta") == [(0.0125, [0.001, 0.0249])] * 2


def test_the_page_shows_pictures_of_both(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    target = tmp_path / "new" / "compare.html"
    assert compare("first", ".", "--page", str(target)).exit_code == 0
    page = Page(target.read_text())
    assert len([address for address in page.addresses if address.startswith("data:image/png")]) == 3
    assert len([label for label in page.drawn if label.startswith("Balanced accuracy in per cent")]) == 2
    assert page.row("train.kimg") == ["train.kimg", "20.0", "40.0"]
    assert "first, plots/train/samples.png: not in DVC's cache" in " ".join(page.text.split())


def test_what_is_stale_or_of_other_images_is_said(tmp_path: Path) -> None:
    one, other = project(tmp_path / "a"), project(tmp_path / "b")
    sha = "ab" * 32
    for workspace, digest in ((one, sha), (other, "cd" * 32)):
        made = [{"file": "data/store/images.npy", "sha256": digest}]
        write_figures(workspace.metrics("utility"), utility(), made)
        write_figures(workspace.metrics("quality"), quality(), [{"file": "data/store/images.npy", "sha256": sha}])
    lock = {"stages": {"train": {"params": {"params.yaml": {"seed": 41, "train": {"kimg": 10}}}}}}
    (one.root / "dvc.lock").write_text(json.dumps(lock))
    found = as_json(str(one.root), str(other.root))
    assert found["notes"] == ["the verdicts are of different images (data/store), so that they are different tests"]
    first, second = (side["notes"] for side in found["sides"])
    assert "train has not run with the choices of params.yaml yet: train.kimg" in first
    assert "metrics/utility.json and metrics/quality.json are of different versions of data/store/images.npy" in second
    assert any("metrics/quality.json is out of date: data/store/images.npy" in note for note in second)


def test_what_a_side_lacks_is_said(tmp_path: Path) -> None:
    one, other = project(tmp_path / "a"), project(tmp_path / "b", "seed: 1\nold_key: 3\n")
    one.metrics("quality").unlink()
    one.metrics("export").write_text(one.metrics("export").read_text().replace("1106", "1107", 1))
    other.metrics("utility").unlink()
    write_figures(other.metrics("train"), {"snapshot": {"kimg": "ten"}})
    found = as_json(str(one.root), str(other.root))
    first, second = (side["missing"] for side in found["sides"])
    assert first["metrics/quality.json"].startswith("not there")
    assert first["metrics/export.json"].startswith("edited since export wrote it")
    assert second["metrics/train.json"].startswith("of another form")
    assert "as this augmint does not take it" in found["sides"][1]["notes"][0]
    assert {"key": "old_key", "values": [None, 3]} in found["params"]
    assert found["verdicts"][1] is None
    assert values(found, "delta") == [(0.0125, [0.001, 0.0249]), None]
    said = compare(str(one.root), str(other.root)).stdout
    assert "no verdict" in said and "edited since export wrote it" in " ".join(said.split())


@pytest.mark.parametrize("name", ["nowhere", "", "HEAD~40", "-x", "../nowhere", "v1:params.yaml"])
def test_an_unknown_side_ends_in_one_sentence(repository: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(repository)
    done = compare("--", ".", name)
    assert done.exit_code == 2
    assert done.stderr.startswith("augmint: ") and done.stderr.count("\n") == 1
    assert "neither a folder nor a Git revision or experiment" in done.stderr


def test_a_folder_without_results_and_one_without_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "params.yaml").write_text(PARAMS)
    project(tmp_path / "whole")
    monkeypatch.chdir(tmp_path)
    for name, words in (("empty", "no file in metrics/"), ("main", "this is no DVC project")):
        done = compare("whole", name)
        assert done.exit_code == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_a_hostile_class_or_folder_is_shown_and_does_nothing(tmp_path: Path) -> None:
    for name in ("<b>one\x1b[31m", "two&'\""):
        project(tmp_path / name)
    names = [str(tmp_path / name) for name in ("<b>one\x1b[31m", "two&'\"")]
    done = compare(*names, "--page", str(tmp_path / "page.html"))
    assert done.exit_code == 0 and "\x1b" not in done.output
    text = (tmp_path / "page.html").read_text()
    assert "<b>" not in text and made_project.HOSTILE not in text
    assert "<b>one\\x1b[31m" in Page(text).text
