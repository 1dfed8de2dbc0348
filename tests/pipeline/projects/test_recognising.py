"""What people point at, and which source reads it."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.params import DataParams, load_params
from pipeline.projects.recognising import as_written, recognise
from tests.pipeline.projects.conftest import make_folder, picture


def table(folder: Path, header: str = "path,label") -> Path:
    """The fruit, listed by a table."""
    make_folder(folder / "files", {"apple": 4, "pear": 4})
    rows = [f"{p.relative_to(folder).as_posix()},{p.parent.name}" for p in sorted(folder.rglob("*.png"))]
    (folder / "index.csv").write_text("\n".join([header, *rows]))
    return folder


def arrays(path: Path) -> Path:
    np.savez(path, train_images=np.zeros((6, 8, 8), np.uint8), train_labels=np.arange(6) % 2)
    return path


def archive(path: Path) -> Path:
    folder = make_folder(path.with_suffix(""), {"apple": 4, "pear": 4})
    with zipfile.ZipFile(path, "w") as packed:
        for file in folder.rglob("*.png"):
            packed.write(file, file.relative_to(folder))
    return path


def parquet(folder: Path) -> Path:
    folder.mkdir()
    images = []
    for number in range(6):
        picture(0, number).save(folder / "x.png")
        images.append({"bytes": (folder / "x.png").read_bytes(), "path": None})
    (folder / "x.png").unlink()
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 3}), folder / "train.parquet")
    return folder


CASES = {
    "folder": (lambda p: make_folder(p / "a", {"apple": 4, "pear": 4}), "folder", "a"),
    "zip": (lambda p: archive(p / "a.zip"), "archive", "a.zip"),
    "table": (lambda p: table(p / "a"), "table", "a"),
    "the table's own file": (lambda p: table(p / "a") / "index.csv", "table", "a"),
    "npz": (lambda p: arrays(p / "a.npz"), "npz", "a.npz"),
    "npz by content": (lambda p: arrays(p / "a.npz").rename(p / "a.data"), "npz", "a.data"),
    "parquet": (lambda p: parquet(p / "a"), "huggingface", "a"),
    "class folders beside another table": (
        lambda p: (table(p / "a", "x,y"), shutil.move(p / "a/files/apple", p / "a/apple"))[0],
        "folder",
        "a",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_recognised(case: str, tmp_path: Path) -> None:
    make, source, path = CASES[case]
    if case == "class folders beside another table":
        make_folder(tmp_path / "a", {"apple": 4, "pear": 4})
        (tmp_path / "a" / "notes.csv").write_text("who,when\nme,now\n")
        given = tmp_path / "a"
    else:
        given = make(tmp_path)
    data, opened = recognise(str(given), tmp_path / "study")
    assert (data.source, Path(data.path)) == (source, tmp_path / path)
    assert len(opened.listing.classes) == 2


def test_a_column_is_named(tmp_path: Path) -> None:
    table(tmp_path / "a", "image,diagnosis")
    with pytest.raises(UserError, match="name the column of the labels by --label-column"):
        recognise(str(tmp_path / "a" / "index.csv"), tmp_path)
    data, opened = recognise(str(tmp_path / "a" / "index.csv"), tmp_path, "diagnosis")
    assert data.label_column == "diagnosis"
    assert opened.listing.classes == ("apple", "pear")


def test_what_nothing_reads_is_told_with_what_each_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "list.csv").write_text("who,when\n")
    with pytest.raises(UserError, match=r"as source: table: (.|\n)*as source: folder: "):
        recognise(str(tmp_path / "a"), tmp_path)
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(UserError, match="neither a zip nor a tar archive"):
        recognise(str(tmp_path / "text.txt"), tmp_path)


@pytest.mark.parametrize(
    ("path", "project", "written"),
    [
        ("/a/photos", "/a/study", "../photos"),
        ("/a/study/photos", "/a/study", "photos"),
        ("/data/photos", "/a/study", "/data/photos"),
        ("/photos", "/study", "/photos"),
        ("/a/b/photos", "/a/study", "../b/photos"),
        ("https://host/set.zip", "/a/study", "https://host/set.zip"),
        ("file:///data/a%20b", "/a/study", "/data/a b"),
        ("data/owner-name", "/a/study", "data/owner-name"),
    ],
)
def test_how_the_path_is_written(path: str, project: str, written: str) -> None:
    assert as_written(DataParams(source="folder", path=path), Path(project)) == written


@pytest.mark.usefixtures("quick")
def test_a_set_of_the_hub_is_kept_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"image": [picture(i % 2, i) for i in range(60)], "label": [0, 1] * 30}
    whole = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: whole)
    study = tmp_path / "study"
    result = CliRunner().invoke(main, ["init", str(study), "--images", "hf:owner/name@main"])
    assert result.exit_code == 0, result.output
    data = load_params(study / "params.yaml").data
    assert (data.dataset, data.path, data.download) == ("owner/name@main", "data/owner-name-main", True)
    assert (study / data.path / "dataset_dict.json").is_file()
    assert f"/{data.path}\n" in (study / ".gitignore").read_text()
