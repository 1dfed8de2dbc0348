"""Whatever stands in the place of a file that a stage wrote, its readers say so in a sentence, or can use it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.binding import read_figures, read_quality, write_figures
from pipeline.classifier.shipped import load_shipped
from pipeline.errors import UserError
from pipeline.experiment.exported import list_exported
from pipeline.experiment.pool import networks
from pipeline.flows import figures
from pipeline.formats.card import publish
from pipeline.generator import open_generator
from pipeline.report.charts import curves
from pipeline.report.files import PageFiles
from pipeline.report.page import write as write_page
from pipeline.report.terminal.results import print_results
from pipeline.stages import check, classify
from pipeline.store import SPLITS, Store
from pipeline.workspace import Workspace
from tests.pipeline.reading.finished import PARAMS, edits, make, stand_ins, write

Reader = Callable[[Workspace], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(made: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(made.root, tmp_path / "project")
    return Workspace(tmp_path / "project")


def read_store(workspace: Workspace) -> None:
    store = Store.open(workspace.store)
    for name in SPLITS:
        split = store.split(name)
        assert len(split.images) == len(split) and split.counts(len(store.classes)).shape == (len(store.classes),)
        assert not len(split) or int(split.images[-1].max()) <= 255


def read_generator(workspace: Workspace) -> None:
    networks(workspace.models)
    open_generator(workspace.models, Store.open(workspace.store))


def read_classifier(workspace: Workspace) -> None:
    shipped = load_shipped(workspace.classifier, workspace.root, torch.device("cpu"))
    assert shipped.probabilities(np.zeros((2, 3, 8, 8), np.uint8)).shape == (2, 3)


READERS: dict[str, tuple[Reader, ...]] = {
    "data/store/summary.json": (read_store, lambda w: list(check.findings(PARAMS, w))),
    "data/store/images.npy": (read_store, lambda w: list(check.findings(PARAMS, w))),
    "data/store/labels.npy": (read_store, lambda w: list(check.findings(PARAMS, w))),
    "models/generator.json": (read_generator,),
    "models/generator.safetensors": (read_generator,),
    "classifier/classifier.json": (read_classifier,),
    "classifier/classifier.safetensors": (read_classifier,),
    "metrics/ingest.json": (figures.read,),
    "metrics/train.json": (figures.read,),
    "metrics/export.json": (print_results,),
    "metrics/quality.json": (lambda w: read_quality(PARAMS, w), print_results, publish, figures.read),
    "metrics/utility.json": (lambda w: classify.current(PARAMS, w), print_results, publish, figures.read),
    "synthetic/manifest.parquet": (publish, lambda w: list_exported(w.synthetic, ("a/b", "cup", "tail"), [])),
}
JSON = [name for name in READERS if name.endswith(".json")]


def tried(project: Workspace, name: str, what: str) -> int:
    """How many readers refuse; anything but a sentence of at most 1,000 characters without line breaks fails."""
    refused: list[str] = []
    for reader in READERS[name]:
        try:
            reader(project)
        except UserError as error:
            refused.append(str(error))
        except Exception as error:
            raise AssertionError(f"{name}, {what}: {error!r}") from error
    assert all("\n" not in said and len(said) < 1000 and "run `" in said for said in refused), (what, refused)
    return len(refused)


def test_the_project_is_whole(project: Workspace) -> None:
    for name in READERS:
        if (project.root / name).is_file():
            assert tried(project, name, "as it was made") == 0


@pytest.mark.parametrize("name", [name for name in READERS if name != "metrics/ingest.json"])
def test_something_else_in_its_place(project: Workspace, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = project.root / name
    content = path.read_bytes()
    for what, replace in stand_ins(path):
        replace()
        refused = tried(project, name, what)
        assert refused or what == "missing", f"{name}, {what}: used all the same"
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    capsys.readouterr()


@pytest.mark.parametrize("name", [name for name in JSON if name != "metrics/ingest.json"])
def test_edits_of_json(project: Workspace, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = project.root / name
    content = json.loads(path.read_text(encoding="utf-8"))
    checked = name.startswith(("metrics/", "classifier/"))
    deep = 1 if checked else 2
    for what, edited in edits(content, deep):
        write(path, json.dumps(edited).encode())
        refused = tried(project, name, what)
        if checked:  # a checksum finds each
            assert refused == len(READERS[name]) or edited == content, f"{what}: used all the same"
    capsys.readouterr()


@pytest.mark.parametrize("kind", ["empty", "list", "nested lists", "folder", "pipe", "missing"])
def test_the_page_leaves_out_what_it_cannot_read(project: Workspace, kind: str) -> None:
    names = [*JSON, "synthetic/manifest.parquet"]
    names.remove("metrics/ingest.json")  # which is part of what the summary tells
    names.remove("classifier/classifier.json")  # of which it tells nothing
    for name in names:
        if (project.root / name).exists():
            dict(stand_ins(project.root / name))[kind]()
    write_page(PARAMS, project, project.report / "index.html")
    page = (project.report / "index.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in page for name in names)


SPLIT_FAULTS: dict[str, dict[str, list[int]]] = {
    "beyond the end": {"train": [0, 10], "val": [10, 11], "test": [11, 5000]},
    "before the end": {"train": [0, 10], "val": [10, 11], "test": [11, 13]},
    "overlapping": {"train": [0, 12], "val": [10, 11], "test": [11, 14]},
    "gap": {"train": [0, 8], "val": [10, 11], "test": [11, 14]},
    "backwards": {"train": [10, 0], "val": [10, 11], "test": [11, 14]},
    "unsorted": {"train": [4, 14], "val": [3, 4], "test": [0, 3]},
    "negative": {"train": [-4, 10], "val": [10, 11], "test": [11, 14]},
    "missing": {"train": [0, 10], "test": [10, 14]},
    "one more": {"train": [0, 10], "val": [10, 11], "test": [11, 14], "extra": [14, 14]},
    "three ends": {"train": [0, 5, 10], "val": [10, 11], "test": [11, 14]},
}


@pytest.mark.parametrize("fault", SPLIT_FAULTS)
def test_splits_that_are_none(project: Workspace, fault: str) -> None:
    path = project.store / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"splits": SPLIT_FAULTS[fault]}))
    with pytest.raises(UserError, match=r"data/store/.*dvc repro --force ingest"):
        read_store(project)


def test_moved_ends_of_splits_are_found_by_the_counts(project: Workspace) -> None:
    path, labels = project.store / "summary.json", np.load(project.store / "labels.npy")
    summary = json.loads(path.read_text())
    counts = {
        name: dict(zip(summary["classes"], np.bincount(labels[start:stop], minlength=3).tolist(), strict=True))
        for name, (start, stop) in summary["splits"].items()
    }
    path.write_text(json.dumps(summary | {"counts": counts}))
    read_store(project)
    path.write_text(
        json.dumps(
            summary | {"counts": counts, "splits": SPLIT_FAULTS["beyond the end"] | {"val": [10, 13], "test": [13, 14]}}
        )
    )
    with pytest.raises(UserError, match="other counts"):
        read_store(project)


@pytest.mark.parametrize(
    "labels",
    [[3] + [0] * 13, [-1] + [0] * 13, [2**62] + [0] * 13, [0] * 13, [0] * 15, [[0]] * 14, [0.0] * 14, ["0"] * 14],
)
def test_labels_that_are_none(project: Workspace, labels: list[object]) -> None:
    np.save(project.store / "labels.npy", np.array(labels))
    with pytest.raises(UserError, match=r"labels\.npy.*dvc repro --force ingest"):
        read_store(project)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 3, 8, 8), np.uint8),
        np.zeros((14, 3, 8, 8), np.float32),
        np.zeros((14, 1, 8, 8), np.uint8),
        np.zeros((14, 3, 8, 9), np.uint8),
        np.zeros((13, 3, 8, 8), np.uint8),
        np.asfortranarray(np.zeros((14, 3, 8, 8), np.uint8)),
        np.array([None] * 14, dtype=object),
    ],
    ids=str,
)
def test_images_that_are_none(project: Workspace, images: np.ndarray) -> None:
    np.save(project.store / "images.npy", images, allow_pickle=True)
    with pytest.raises(UserError, match=r"images\.npy.*dvc repro --force ingest"):
        read_store(project)


@pytest.mark.parametrize("shape", ["(10**12, 3, 8, 8)", "(1000000000000, 3, 8, 8)", "(-1, 3, 8, 8)", "(((" * 800, "x"])
def test_the_shape_in_a_header_is_not_believed(project: Workspace, shape: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(14 * 192)
    (project.store / "images.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.npy.*dvc repro --force ingest"):
        read_store(project)


def test_figures_of_another_form_with_a_checksum_of_their_own_are_refused(project: Workspace) -> None:
    """A checksum is no signature: what decides is of its form all the same."""
    for name, bad in (("quality", {"gates": 3}), ("quality", {}), ("utility", {"verdict": "YES", "sentence": ""})):
        write_figures(project.metrics(name), bad)
        with pytest.raises(UserError, match=rf"metrics/{name}\.json: not what"):
            read_figures(project, name)


HEADER = b"kimg,score_gap,penalty,overfitting,augment_strength\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b'kimg\n"', b"\xff\xfe", HEADER, HEADER + b"1,x,3,4,5\n", HEADER + b"\0", b"a" * 200_000, HEADER[5:]],
    ids=lambda content: str(content[:9]),
)
def test_the_page_leaves_out_curves_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plots" / "train" / "curves.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    files = PageFiles(Workspace(tmp_path))
    assert not files.file("plots/train/curves.csv", curves)
    assert "plots/train/curves.csv" in files.missing
