"""What describes a set: the dataset card, and Croissant metadata as its own validator and reader see it."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import mlcroissant
import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from pipeline.binding import write_figures
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.formats import FORMATS
from pipeline.formats.card import publish, render_card
from pipeline.formats.manifest import MANIFEST, count_images
from pipeline.workspace import Workspace
from tests.pipeline.made_set import CLASSES, GENERATOR, QUALITY, MadeSet, make_set
from tests.pipeline.test_provenance import commit_all, git

UTILITY = {"verdict": "HURTS", "sentence": "It costs 1.2 points.", "warnings": ["few images"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeSet:
    return make_set(tmp_path_factory.mktemp("made") / "set", ("train", "val"), licence="cc-by-4.0")


def card(made: MadeSet) -> str:
    return (made.root / "README.md").read_text(encoding="utf-8")


def croissant(made: MadeSet) -> mlcroissant.Dataset:
    return mlcroissant.Dataset(jsonld=str(made.root / "croissant.json"))


def test_the_front_matter_is_what_hugging_face_asks_for(made: MadeSet) -> None:
    front = YAML(typ="safe").load(card(made).split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["task_categories"] == ["image-classification"]
    assert front["size_categories"] == ["n<1K"]
    assert "synthetic" in front["tags"]
    (config,) = front["configs"]
    assert config["data_files"] == [
        {"split": "train", "path": "images/train/**"},
        {"split": "validation", "path": "images/val/**"},
    ]


def test_the_card_counts_by_class_and_kind(made: MadeSet) -> None:
    text = card(made)
    assert "| class | number | real, train | real, val | synthetic |" in text
    assert "| a/b | 0 | 2 | 4 | 2 |" in text
    assert r"| cup \| saucer | 1 | 1 | 2 | 1 |" in text
    assert "| empty | 2 | 0 | 0 | 0 |" in text
    assert "5 were made by a" in text
    assert "15 are real" in text


def test_the_card_gives_figures_gates_and_how_to_make_the_set_again(made: MadeSet) -> None:
    text = card(made)
    assert "| kid, worse than real | 0.125 | 0.000 | -0.010 to 0.062 |" in text
    assert "A note." in text
    assert "Missing, or drawn as something else: empty." in text
    assert "fails its quality gates:** kid" in text
    for said in (GENERATOR, str(2**62), "augmint verify", "`cc-by-4.0`", "trainedAlgorithmicMedia"):
        assert said in text
    assert YAML(typ="safe").load(re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[0]) == made.about.params


def test_a_card_without_mark_and_figures_does_not_claim_them(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", mark=False)
    assert "trainedAlgorithmicMedia" not in card(made).split("## Sizes")[0]
    assert "Not measured." in render_card(made.about, count_images(made.root / MANIFEST), None, None)


def test_the_verdict_comes_into_the_card_that_is_passed_on(made: MadeSet, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(made.root, workspace.synthetic)
    assert "augmint card" in card(made)
    with pytest.raises(UserError, match=r"quality\.json"):
        publish(workspace)
    workspace.metrics("quality").parent.mkdir()
    write_figures(workspace.metrics("quality"), QUALITY)
    write_figures(workspace.metrics("utility"), UTILITY)
    text = publish(workspace)
    assert "**HURTS**: It costs 1.2 points." in text
    assert "Note: few images" in text
    assert text.split("## Verdict")[0] == card(made).split("## Verdict")[0]
    assert "Git revision" not in text
    git(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    commit = commit_all(tmp_path)
    assert f"Git revision\n`{commit}`" in publish(workspace)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["png", "jpeg", "webp"])
def test_croissant_is_valid(tmp_path: Path, name: str, encoding: str) -> None:
    found = croissant(make_set(tmp_path / "set", format=name, encoding=encoding))
    assert found.metadata.ctx.issues.errors == set()
    assert {warning.rsplit("/", 1)[1].split('"')[0] for warning in found.metadata.ctx.issues.warnings} <= {
        "datePublished",  # a date would make every run another set
        "citeAs",
    }


def test_croissant_reads_the_image_folder_joined_with_the_manifest(made: MadeSet) -> None:
    rows = {row.file: row for row in made.rows}
    records = list(croissant(made).records("images"))
    assert {record["images/file"].decode() for record in records} == set(rows)
    for record in records:
        row = rows[record["images/file"].decode()]
        assert record["images/label"].decode() == row.label
        assert (record["images/label_index"], record["images/synthetic"]) == (row.label_index, row.synthetic)
        pixels = np.asarray(record["images/image"]).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, made.items[row.name].image)


def test_croissant_reads_parquet_shards(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", format="parquet")
    for row, record in zip(made.rows, croissant(made).records("images"), strict=True):
        assert record["images/label_index"] == row.label_index
        pixels = np.asarray(record["images/image"]).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, made.items[row.name].image)


def test_croissant_lists_the_manifest_and_vouches_for_it(made: MadeSet) -> None:
    records = list(croissant(made).records("manifest"))
    assert [record["manifest/name"].decode() for record in records] == [row.name for row in made.rows]
    content = json.loads((made.root / "croissant.json").read_text())
    digest = hashlib.sha256((made.root / "manifest.parquet").read_bytes()).hexdigest()
    assert content["distribution"][0]["sha256"] == digest
    assert content["license"] == "cc-by-4.0"
    assert f"20 labelled images of {len(CLASSES)} classes" in content["description"]


def test_the_command_prints_the_card_or_says_what_is_missing(
    made: MadeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(made.root, workspace.synthetic)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["card"])
    assert result.exit_code == 2 and "dvc repro" in result.output
    workspace.metrics("quality").parent.mkdir()
    write_figures(workspace.metrics("quality"), QUALITY)
    write_figures(workspace.metrics("utility"), UTILITY)
    result = CliRunner().invoke(main, ["card"])
    assert result.exit_code == 0 and result.output == publish(workspace)
