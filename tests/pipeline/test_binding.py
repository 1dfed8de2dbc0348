"""Figures that decide are those of their stage and of the files as they are; anything else is told by name."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dvc.repo.metrics.show import _extract_metrics

from pipeline.binding import checksum, quality_sources, read_quality
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.params import EvaluateParams
from pipeline.stages import classify, export
from pipeline.workspace import Workspace
from tests.pipeline.reading.finished import PARAMS, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy in another place, in which commands run."""
    shutil.copytree(made.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(classify, "run", None)  # a training would fail
    return Workspace()


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def run(*command: str) -> Result:
    return CliRunner().invoke(main, list(command))


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    said = result.output.strip().splitlines()[-1]
    assert said.startswith("augmint: ") and all(word in said for word in words), said


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the verdict": lambda tree: tree.update(verdict="HELPS", sentence="It helps."),
    "a figure deep inside": lambda tree: tree["arms"]["real"].update(balanced_accuracy=0.99),
    "a further key": lambda tree: tree.update(note=""),
    "a key less": lambda tree: tree.pop("comparisons"),
    "another checksum": lambda tree: tree.update(checksum=["0" * 64]),
    "no checksum": lambda tree: tree.pop("checksum"),
    "nothing that it was made from": lambda tree: tree.update(made_from=[]),
    "other files that it was made from": lambda tree: tree["made_from"][0].update(sha256="0" * 64),
}


@pytest.mark.parametrize("change", EDITS)
def test_an_edited_verdict_is_refused_by_all_who_read_it(project: Workspace, change: str) -> None:
    edit(project.metrics("utility"), lambda tree: tree.update(draws=2))  # written anew, but the same
    assert run("classify", "--require", "helps").exit_code == 0
    edit(project.metrics("utility"), lambda tree: tree.update(verdict="HURTS"))
    refused(run("results"), "utility.json", "classify")
    edit(project.metrics("utility"), lambda tree: tree.update(verdict="HELPS"))
    edit(project.metrics("utility"), EDITS[change])
    for command in (("classify", "--require", "helps"), ("results",), ("card",)):
        refused(run(*command), "utility.json", "classify", "dvc repro")


def test_edited_gates_do_not_pass(project: Workspace) -> None:
    assert run("export", "--dry-run").exit_code == 0
    edit(project.metrics("quality"), lambda tree: tree.update(coverage=1.0))
    refused(run("export", "--dry-run"), "quality.json", "evaluate wrote", "dvc repro --force --single-item evaluate")
    refused(run("export"), "quality.json", "evaluate wrote")
    refused(run("results"), "quality.json", "evaluate wrote")


@pytest.mark.parametrize(
    "name",
    ["data/store/images.npy", "data/store/labels.npy", "data/store/summary.json", "models/generator.safetensors"],
)
def test_gates_of_other_files_do_not_pass(project: Workspace, name: str) -> None:
    content = bytearray(Path(name).read_bytes())
    Path(name).write_bytes(content + b"\n")
    with pytest.raises(UserError, match=rf"metrics/quality\.json: out of date: {name} changed"):
        read_quality(PARAMS, project)
    Path(name).write_bytes(content)  # a stage that ran again and made the same bytes
    assert read_quality(PARAMS, project)["gates"] == []
    Path(name).unlink()
    with pytest.raises(UserError, match=rf"out of date: {name} changed"):
        read_quality(PARAMS, project)


def test_gates_of_other_choices_do_not_pass(project: Workspace) -> None:
    stricter = PARAMS.model_copy(update={"evaluate": EvaluateParams(gates={"coverage": ">= 0.99"})})
    with pytest.raises(UserError, match=r"out of date: params\.yaml: seed, evaluate changed since evaluate"):
        export.run(stricter, project)
    other = PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"kimg": 1.0})})
    read_quality(other, project)  # what a generator was trained with is in its weights


def test_a_verdict_on_other_files_is_found_anew(project: Workspace) -> None:
    assert classify.current(PARAMS, project) is not None
    manifest = project.synthetic / "manifest.parquet"
    content = manifest.read_bytes()
    manifest.write_bytes(content + b"x")
    assert classify.current(PARAMS, project) is None
    refused(run("card"), "utility.json", "synthetic/manifest.parquet", "dvc repro classify")
    told = run("results")
    assert told.exit_code == 0 and "since then synthetic/manifest.parquet changed" in " ".join(told.output.split())
    manifest.write_bytes(content)
    assert run("card").exit_code == 0
    assert classify.current(PARAMS.model_copy(update={"seed": 4}), project) is None


def test_a_checksum_is_what_its_description_says(project: Workspace) -> None:
    """Reckoned here anew from docs/verdict.md: keys sorted, the checksum left out, SHA-256 of the UTF-8 text."""
    tree = json.loads(project.metrics("utility").read_text(encoding="utf-8"))
    found = tree.pop("checksum")
    text = json.dumps(tree, sort_keys=True, ensure_ascii=False)
    assert found == [hashlib.sha256(text.encode()).hexdigest()]
    sums = {row["file"]: row["sha256"] for row in tree["made_from"] if not row["file"].startswith("params.yaml")}
    assert {"data/store/images.npy", "models/generator.json", "synthetic/manifest.parquet"} <= set(sums)
    assert all(hashlib.sha256(Path(file).read_bytes()).hexdigest() == digest for file, digest in sums.items())


def test_nothing_of_the_place_is_in_the_figures_and_dvc_shows_none_of_it(made: Workspace, project: Workspace) -> None:
    assert quality_sources(PARAMS, made) == quality_sources(PARAMS, project)
    for name in ("quality", "utility", "export", "train"):
        text = project.metrics(name).read_text(encoding="utf-8")
        assert str(made.root) not in text
        assert not {"checksum", "made_from"} & set(_extract_metrics(json.loads(text), ""))


def test_figures_of_truncated_images_are_not_those_of_others(made: Workspace) -> None:
    def sources(truncation: float) -> list[dict[str, str]]:
        export = PARAMS.export.model_copy(update={"truncation": truncation})
        return quality_sources(PARAMS.model_copy(update={"export": export}), made)

    assert sources(1.0) == quality_sources(PARAMS, made)
    assert len({str(sources(psi)) for psi in (1.0, 0.7, 0.5)}) == 3


def test_white_space_and_order_do_not_count() -> None:
    assert checksum({"a": 1, "b": [1.5]}) == checksum({"b": [1.5], "a": 1, "checksum": ["x"]}) != checksum({"a": 1})
