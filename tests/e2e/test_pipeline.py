"""The real thing: ``dvc repro`` on real digits, at a tiny budget."""

import contextlib
import csv
import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo
from PIL import Image
from torchvision.datasets import ImageFolder

from pipeline.cli import main
from tests.e2e.conftest import Project

OUTPUTS = ("data/store", "models", "synthetic", "classifier", "metrics", "plots", "report")
STAGES = ["ingest", "train", "evaluate", "export", "classify"]


def ran(output: str) -> list[str]:
    """The stages that DVC says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def figures(project: Project, name: str) -> dict:
    """The JSON of figures called ``name``."""
    return json.loads((project.root / "metrics" / f"{name}.json").read_text())


def augmint(project: Project, *arguments: str) -> Result:
    """A command of ours in this process: to start one takes longer than most of them do."""
    with contextlib.chdir(project.root):
        return CliRunner().invoke(main, arguments)


def test_every_stage_leaves_what_other_work_builds_on(finished: Project) -> None:
    store = figures(finished, "ingest")
    assert store["images"]["train"] == 347
    utility = figures(finished, "utility")
    assert utility["verdict"] in {"HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE"}
    low, high = utility["ci95"]
    assert low <= utility["delta"] <= high
    assert utility["baseline"] in utility["arms"]
    quality = figures(finished, "quality")
    assert quality["embedder"].startswith("domain:")
    assert not any("fid" in key.lower() for key in quality)
    assert figures(finished, "train")["kimg"] == pytest.approx(3, abs=0.2)
    assert (finished.root / "report" / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_the_synthetic_set_fills_every_class_and_loads_in_torchvision(finished: Project) -> None:
    rows = pq.read_table(finished.root / "synthetic" / "manifest.parquet").to_pylist()
    made = {str(label): sum(row["label"] == str(label) for row in rows) for label in range(10)}
    real = figures(finished, "ingest")["train_per_class"]["largest"]
    assert made["0"] == 0
    assert made["9"] == real - 4
    weights = json.loads((finished.root / "models" / "generator.json").read_text())["sha256"]
    assert {row["generator"] for row in rows} == {weights}
    folder = ImageFolder(str(finished.root / "synthetic" / "images"), allow_empty=True)
    assert len(folder) == len(rows)
    assert folder.classes == [str(label) for label in range(10)]


def test_a_second_repro_runs_nothing(finished: Project) -> None:
    assert ran(finished.run("dvc", "repro").stdout) == []


def test_touching_the_source_runs_nothing(finished: Project) -> None:
    os.utime(finished.root / "data" / "digits.zip")
    assert ran(finished.run("dvc", "repro").stdout) == []


def test_dvc_shows_the_order_the_figures_and_the_plots(finished: Project, tmp_path: Path) -> None:
    dot = finished.run("dvc", "dag", "--dot").stdout
    for earlier, later in pairwise(STAGES):
        assert f'"{earlier}" -> "{later}"' in dot
    shown = finished.run("dvc", "metrics", "show", "--json").stdout
    assert "balanced_accuracy" in shown
    finished.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    for shown in ("Score gap", "Share of real images", "samples.png", "grid.png", "nearest.png", "arms.png"):
        assert shown in page


def test_the_curves_cover_the_budget(finished: Project) -> None:
    with (finished.root / "plots" / "train" / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    kimg = [float(row["kimg"]) for row in rows]
    assert kimg == sorted(kimg)
    assert kimg[-1] == pytest.approx(3, abs=0.2)
    assert list((finished.root / "plots" / "train" / "grids").glob("*.png"))


def test_sampling_draws_a_picture_and_refuses_what_it_cannot_do(finished: Project, tmp_path: Path) -> None:
    out = tmp_path / "three.png"
    assert augmint(finished, "sample", "--class", "3", "-n", "20", "--out", str(out)).exit_code == 0
    first = out.read_bytes()
    assert Image.open(out).width > 100
    assert augmint(finished, "sample", "--class", "3", "-n", "20", "--out", str(out)).exit_code == 0
    assert out.read_bytes() == first
    refused = augmint(finished, "sample", "--class", "ten", "--out", str(out))
    assert refused.exit_code == 2
    assert "ten" in refused.stderr
    assert "'0', '1', '2'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_results_ends_with_the_verdict_and_the_report(finished: Project) -> None:
    shown = augmint(finished, "results").stdout
    assert figures(finished, "utility")["verdict"] in shown
    assert "report/index.html" in shown


def test_an_export_parameter_retrains_nothing_and_force_gives_the_same_bytes(tmp_path: Path, finished: Project) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.root, project.root, symlinks=True)
    lock = (project.root / "dvc.lock").read_bytes()
    before = project.bytes_of(*OUTPUTS)
    project.edit("export", balance=30)
    assert ran(project.run("dvc", "repro", "--dry", "export").stdout) == ["export"]
    project.edit("export", balance="auto")
    project.run("dvc", "repro", "--force")
    assert project.bytes_of(*OUTPUTS) == before
    assert (project.root / "dvc.lock").read_bytes() == lock


def test_a_killed_training_resumes_to_the_same_bytes(tmp_path: Path, finished: Project) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.root, project.root, symlinks=True)
    before = project.bytes_of("models", "plots/train", "metrics/train.json")
    state = project.root / ".augmint" / "train" / "state.safetensors"
    process = project.start("dvc", "repro", "--force", "--single-item", "train")
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert state.exists(), "the training ended before it could be killed"
    assert project.bytes_of("models") == {k: v for k, v in before.items() if k.startswith("models/")}
    done = project.run("dvc", "repro", "--force", "--single-item", "train")
    assert "goes on from" in done.stdout
    assert project.bytes_of("models", "plots/train", "metrics/train.json") == before
    assert not state.exists()


def test_a_stage_that_fails_says_why_and_leaves_the_last_good_outputs(tmp_path: Path, finished: Project) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.root, project.root, symlinks=True)
    before = project.bytes_of(*OUTPUTS)
    project.edit("train", n_critc=3)
    failed = project.run("dvc", "repro", fails=True)
    assert "did you mean `n_critic`" in failed.stderr
    assert "params.yaml:" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert project.run("augmint", "train", fails=True).returncode == 2
    (project.root / "data" / "digits.zip").write_bytes(b"no archive")
    project.run("git", "checkout", "params.yaml")
    failed = project.run("dvc", "repro", fails=True)
    assert "digits.zip" in failed.stderr
    assert project.bytes_of(*OUTPUTS) == before


def test_models_to_go_on_from_have_to_be_a_dependency_and_a_change_of_them_is_seen(
    tmp_path: Path, finished: Project
) -> None:
    project, base = Project(tmp_path / "copy"), tmp_path / "base" / "models"
    shutil.copytree(finished.root, project.root, symlinks=True)
    shutil.copytree(finished.root / "models", base)
    project.edit("train", init_from="../base/models", kimg=0.2, snapshot_kimg=1)
    asked = augmint(project, "train")
    assert asked.exit_code == 2 and asked.stderr.rstrip().endswith("\n      - ../base/models")
    missing = asked.stderr.rstrip().rpartition("\n")[2]
    file = project.root / "dvc.yaml"
    deps = "    cmd: augmint train\n    deps:\n"
    file.write_text(file.read_text().replace(deps, f"{deps}{missing}\n"))
    assert ran(project.run("dvc", "repro", "--single-item", "train").stdout) == ["train"]
    digest = json.loads((base / "generator.json").read_text())["sha256"]
    assert json.loads((project.root / "models" / "generator.json").read_text())["init_from"]["generator"] == digest
    with contextlib.chdir(project.root), Repo() as repo:
        assert not repo.status(targets=["train"])
        (base / "critic.json").write_text((base / "critic.json").read_text() + " ")
        assert f"{base}': 'modified'" in str(repo.status(targets=["train"]))


def out_of_date(project: Project) -> bool:
    """Whether DVC would run ``ingest`` now; in this process, which spares the start of a program."""
    with contextlib.chdir(project.root), Repo() as repo:
        return "ingest" in repo.status(targets=["ingest"])


def small_set(project: Project, folder: Path) -> list[Path]:
    """Ten digits each of three classes: what DVC sees of a change does not depend on their number."""
    with zipfile.ZipFile(project.root / "data" / "digits.zip") as archive:
        archive.extractall(folder.parent / "all")
    for image in sorted((folder.parent / "all").rglob("*.png")):
        if (into := folder / image.parent.name).name in "012" and len([*into.glob("*")]) < 10:
            into.mkdir(parents=True, exist_ok=True)
            shutil.move(image, into)
    project.edit("data", source="folder", path=str(folder), long_tail=None, val_fraction=0.2)
    return sorted(folder.rglob("*.png"))


def test_an_image_added_changed_or_removed_runs_ingest_again(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project, folder = new_project(), tmp_path / "digits"
    images = small_set(project, folder)
    assert ran(project.run("dvc", "repro", "ingest").stdout) == ["ingest"]
    assert not out_of_date(project)
    added, first = images[0].with_name("added.png"), images[0].read_bytes()
    for change, undo in (
        (lambda: shutil.copy(images[0], added), added.unlink),
        (lambda: shutil.copy(images[1], images[0]), lambda: images[0].write_bytes(first)),
        (images[0].unlink, lambda: images[0].write_bytes(first)),
    ):
        change()
        assert out_of_date(project)
        undo()
        os.utime(images[0])  # a date is no content
        assert not out_of_date(project)
    images[0].unlink()
    assert ran(project.run("dvc", "repro", "ingest").stdout) == ["ingest"]
    assert figures(project, "ingest")["images"]["found"] == 29


def test_another_image_in_an_archive_runs_ingest_again(new_project: Callable[[], Project], tmp_path: Path) -> None:
    project, folder = new_project(), tmp_path / "digits"
    images = small_set(project, folder)
    project.edit("data", source="archive", path=shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    assert ran(project.run("dvc", "repro", "ingest").stdout) == ["ingest"]
    assert not out_of_date(project)
    shutil.copy(images[1], images[0])
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert out_of_date(project)
