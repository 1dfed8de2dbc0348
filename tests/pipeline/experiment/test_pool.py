from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gan.checkpoint import save_network
from gan.networks import Shape, build
from gan.sampler import Sampler
from pipeline.errors import UserError
from pipeline.experiment.exported import list_exported
from pipeline.experiment.pool import Pool, make_pool
from pipeline.formats import FORMATS
from pipeline.formats.manifest import ABOUT
from pipeline.params import ExportParams, Params
from pipeline.store import Store
from tests.pipeline.made_set import made_about, make_set

SEED = 9


@pytest.fixture
def models(digits_store: Store, tmp_path: Path) -> tuple[Path, Sampler, str]:
    """An untrained generator of digits, as ``train`` ships it."""
    shape = Shape(classes=10, channels=1, image_size=8, latent_dim=4, width=4)
    network = build("resnet", "generator", shape)
    digest = save_network(
        tmp_path / "models", "generator", network, {"family": "resnet", "classes": list(digits_store.classes)}
    )
    return tmp_path / "models", Sampler(network.eval().requires_grad_(False), SEED), digest


def _export(
    folder: Path,
    rows: list[tuple[int, int]],
    images: np.ndarray,
    generator: str = "x",
    encoding: Literal["png", "jpeg"] = "png",
) -> None:
    """A set of (label, index) and a real image; what the manifest says of their encoding may be set."""
    folder.mkdir(exist_ok=True)
    files = [f"{label}-{index}.png" for label, index in rows]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[0]).save(folder / file)
    columns = {
        "file": [*files, "real.png"],
        "name": [Path(file).stem for file in [*files, "real.png"]],
        "label": [*(str(label) for label, _ in rows), "0"],
        "synthetic": [True] * len(rows) + [False],
        "index": [*(index for _, index in rows), 0],
        "seed": [*([SEED] * len(rows)), None],
        "generator": [*([generator] * len(rows)), None],
    }
    about = made_about(Params(export=ExportParams(encoding=encoding)))
    table = pa.table(columns).replace_schema_metadata({ABOUT: about.dump()})
    pq.write_table(table, folder / "manifest.parquet")


@pytest.mark.parametrize("name", FORMATS)
def test_a_set_of_any_format_is_decoded(digits_store: Store, tmp_path: Path, name: str) -> None:
    made = make_set(tmp_path / "set", channels=1, format=name)
    store = Store(digits_store.folder, {**digits_store.summary, "classes": made.about.classes})
    exported = list_exported(made.root, store.classes, [])
    expected = [row for row in made.rows if row.synthetic]
    assert exported.labels.tolist() == [row.label_index for row in expected]
    images = [image for label in range(len(store.classes)) for image in exported.images(label, store)]
    assert np.array_equal(images, [made.items[row.name].image for row in expected])


def _make(
    tmp_path: Path, store: Store, *, largest: float = 1.0, draws: int = 1, left_out: tuple[int, ...] = (), seen: int = 0
) -> str | None:
    folders = (tmp_path / "pool", tmp_path / "synthetic", tmp_path / "models")
    return make_pool(*folders, store, left_out=left_out, largest=largest, draws=draws, seen=seen)


ROWS = [(3, 1), (3, 0), (5, 0), (3, 3), (3, 2)]


def _images(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.zeros((1, 1, 8, 8), np.uint8)


def test_the_exported_images_come_by_class_and_index_and_without_real_ones(digits_store: Store, tmp_path: Path) -> None:
    _export(tmp_path / "synthetic", ROWS, _images(5))
    assert _make(tmp_path, digits_store) is None
    pool = Pool.open(tmp_path / "pool")
    assert pool.images[:, 0, 0, 0].tolist() == [1, 0, 4, 3, 2]
    assert pool.labels.tolist() == [3, 3, 3, 3, 5]
    assert pool.unit.tolist() == [0, 0, 0, 4, 0, 1, 0, 0, 0, 0]
    (tmp_path / "synthetic" / "3-0.png").unlink()
    assert _make(tmp_path, digits_store) is None  # what is there is not read again


def test_doses_are_nested_and_draws_share_no_image(digits_store: Store, tmp_path: Path) -> None:
    rows = [(3, i) for i in range(12)]
    _export(tmp_path / "synthetic", rows, _images(12))
    assert "no generator" in str(_make(tmp_path, digits_store, draws=3))
    pool = Pool.open(tmp_path / "pool")
    quarter = [pool.rows(0.25, draw).tolist() for draw in range(3)]
    assert quarter == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert pool.rows(1 / 3, 0).tolist() == [0, 3, 6, 9]
    assert pool.holds(1 / 3, 3)
    assert not pool.holds(0.5, 3)


def test_a_larger_dose_is_what_a_larger_export_would_have_held(
    digits_store: Store, tmp_path: Path, models: tuple[Path, Sampler, str]
) -> None:
    _, sampler, digest = models
    made = sampler.draw(3, 0, 12).numpy()
    _export(tmp_path / "synthetic", [(3, 0), (3, 1)], made[:2], digest)
    assert _make(tmp_path, digits_store, largest=3.0, draws=2) is None
    pool = Pool.open(tmp_path / "pool")
    assert np.array_equal(pool.images, made)
    assert pool.rows(3.0, 1).tolist() == [1, 3, 5, 7, 9, 11]
    assert pool.unit[3] == 2


def test_a_selection_or_another_generators_set_is_not_continued(
    digits_store: Store, tmp_path: Path, models: tuple[Path, Sampler, str]
) -> None:
    _export(tmp_path / "synthetic", [(3, 0), (3, 2)], _images(2), models[2])
    assert "selection" in str(_make(tmp_path, digits_store, largest=2.0))
    assert len(Pool.open(tmp_path / "pool").labels) == 2
    _export(tmp_path / "synthetic", [(3, 0), (3, 1)], _images(2), models[2], "jpeg")
    assert "lossy" in str(_make(tmp_path, digits_store, largest=2.0))
    _export(tmp_path / "synthetic", [(3, 0), (3, 1)], _images(2), "0" * 64)
    (tmp_path / "pool" / "unit.npy").unlink()
    with pytest.raises(UserError, match="not the generator that made"):
        _make(tmp_path, digits_store, largest=2.0)


def test_alone_there_are_images_of_every_class_though_the_plan_makes_none_of_some(
    digits_store: Store, tmp_path: Path, models: tuple[Path, Sampler, str]
) -> None:
    """`balance: max` makes none of the largest class: a classifier of the others alone could never answer it."""
    _, sampler, digest = models
    _export(tmp_path / "synthetic", [(3, 0), (3, 1), (5, 0)], _images(3), digest)
    assert _make(tmp_path, digits_store, draws=2, seen=1000) is None
    pool = Pool.open(tmp_path / "pool")
    assert pool.unit.tolist() == [0, 0, 0, 2, 0, 1, 0, 0, 0, 0]
    assert pool.alone.tolist() == [2] * 10
    for draw in range(2):
        rows = pool.rows_alone(draw)
        assert np.bincount(pool.labels[rows]).tolist() == [2] * 10
        drawn = sampler.draw(7, 0, 4).numpy()[draw::2]
        assert np.array_equal(pool.images[rows][pool.labels[rows] == 7], drawn)
    assert (
        np.bincount(pool.labels[pool.rows(1.0, 0)], minlength=10).tolist() == pool.unit.tolist()
    )  # doses are as before


def test_alone_no_more_are_drawn_than_are_seen(
    digits_store: Store, tmp_path: Path, models: tuple[Path, Sampler, str]
) -> None:
    _export(tmp_path / "synthetic", [(3, i) for i in range(5)], _images(5), models[2])
    assert _make(tmp_path, digits_store, seen=21) is None
    assert Pool.open(tmp_path / "pool").alone.tolist() == [3] * 10


@pytest.mark.parametrize(
    ("rows", "left_out", "expected"),
    [
        ([(c, i) for c in range(10) for i in range(4 + c)], (), [2 + c // 2 for c in range(10)]),
        ([(c, i) for c in range(9) for i in range(4)], (), [0] * 10),  # none of class 9
        ([(c, 0) for c in range(10)], (), [0] * 10),  # fewer than draws
        ([(c, i) for c in range(10) for i in range(4)], (9,), [0] * 10),
    ],
)
def test_alone_what_cannot_be_drawn_is_as_the_set_has_it_or_not_at_all(
    digits_store: Store, tmp_path: Path, rows: list[tuple[int, int]], left_out: tuple[int, ...], expected: list[int]
) -> None:
    _export(tmp_path / "synthetic", rows, _images(len(rows)))
    _make(tmp_path, digits_store, draws=2, seen=1000, left_out=left_out)
    assert Pool.open(tmp_path / "pool").alone.tolist() == expected


def test_classes_that_are_left_out_have_no_images(digits_store: Store, tmp_path: Path) -> None:
    _export(tmp_path / "synthetic", ROWS, _images(5))
    assert _make(tmp_path, digits_store, left_out=(3,)) is None
    assert Pool.open(tmp_path / "pool").labels.tolist() == [5]
    with pytest.raises(UserError, match=r"classify\.force"):
        _make(tmp_path, digits_store, left_out=(3, 5))


def test_an_exported_set_that_does_not_fit_is_said(digits_store: Store, tmp_path: Path) -> None:
    _export(tmp_path / "synthetic", [(17, 0)], _images(1))
    with pytest.raises(UserError, match="'17'"):
        _make(tmp_path, digits_store)
    _export(tmp_path / "synthetic", [(3, 0)], np.zeros((1, 1, 9, 9), np.uint8))
    with pytest.raises(UserError, match="9x9"):
        _make(tmp_path, digits_store)
    (tmp_path / "synthetic" / "3-0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="not readable"):
        _make(tmp_path, digits_store)
