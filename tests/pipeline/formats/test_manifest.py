"""The manifest: rows, and what is true of the whole set."""

from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.formats import manifest
from pipeline.formats.manifest import SCHEMA, About, ManifestWriter, Row, count_images, read_about, read_rows
from tests.pipeline.made_set import make_set

ROW = Row(
    file="x",
    name="x",
    sha256="0" * 64,
    split="train",
    label="é",
    label_index=2,
    index=0,
    synthetic=False,
    seed=None,
    generator=None,
    params="1" * 64,
    augmint="1",
)
SYNTHETIC = replace(
    ROW,
    synthetic=True,
    seed=2**62,
    generator="2" * 64,
    critic_score=-0.25,
    label_confidence=0.75,
    nearest_train=1.5,
    filters=("copies", "critic"),
)


@pytest.fixture(scope="module")
def about(tmp_path_factory: pytest.TempPathFactory) -> About:
    return make_set(tmp_path_factory.mktemp("about") / "set").about


def test_rows_keep_order_and_types_over_groups(tmp_path: Path, about: About, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "ROWS_PER_GROUP", 4)
    rows = [replace(SYNTHETIC if i % 2 else ROW, index=i) for i in range(11)]
    for name in ("one", "two"):
        with ManifestWriter(tmp_path / name, about) as writer:
            for row in rows:
                writer.extend([row])
    assert list(read_rows(tmp_path / "one")) == rows
    table = pq.read_table(tmp_path / "one")
    assert table.schema.equals(SCHEMA)
    assert table.column("index").to_pylist() == list(range(11))
    assert pq.ParquetFile(tmp_path / "one").num_row_groups == 3
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert count_images(tmp_path / "one") == {("train", 2, False): 6, ("train", 2, True): 5}
    assert set(asdict(ROW)) == set(SCHEMA.names)


def test_a_manifest_of_nothing_still_has_its_columns_and_says_what_it_is_of(tmp_path: Path, about: About) -> None:
    with ManifestWriter(tmp_path / "empty", about) as writer:
        writer.extend([])
    assert pq.read_table(tmp_path / "empty").schema.equals(SCHEMA)
    assert list(read_rows(tmp_path / "empty")) == []
    assert read_about(tmp_path / "empty") == about
    assert (about.format, about.encoding, about.licence) == ("imagefolder", ("png", 95), "unknown")


def test_what_is_no_manifest_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no parquet")
    pq.write_table(SCHEMA.empty_table().select(["file"]), tmp_path / "other")
    for name in ("text", "other", "missing"):
        for read in (read_about, count_images, lambda path: list(read_rows(path))):
            if name == "other" and read is not read_about:
                continue  # a table without rows has nothing to complain of
            with pytest.raises(UserError, match=name):
                read(tmp_path / name)
