"""What ``augmint verify`` finds: every seeded tampering, named, and nothing where nothing was done."""

import os
import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from gan.files import sha256
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.export.verify import verify
from pipeline.formats.checksums import SUMS, write_sums
from pipeline.stages.export import run
from pipeline.workspace import Workspace
from tests.pipeline.export_project import make, params

Rng = np.random.Generator
SEEDS = 6


def images(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def pick(folder: Path, rng: Rng, count: int = 1) -> list[Path]:
    """Some synthetic images."""
    found = [path for path in images(folder) if path.name.startswith("synthetic")]
    return [found[i] for i in rng.choice(len(found), count, replace=False)]


def edit(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Changes the manifest's rows, and nothing that it says of the whole set."""
    table = pq.read_table(folder / "manifest.parquet")
    pq.write_table(change(table).cast(table.schema), folder / "manifest.parquet")


def with_value(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


def row_of(folder: Path, file: str) -> int:
    return pq.read_table(folder / "manifest.parquet")["file"].to_pylist().index(file)


def repixelled(data: bytes) -> bytes:
    """The same image with one pixel changed and the same mark."""
    with Image.open(BytesIO(data)) as image:
        packet, pixels = image.info.get("xmp"), np.asarray(image).copy()
    pixels[3, 3] ^= 1
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG", xmp=packet)
    return out.getvalue()


def consistent(folder: Path, file: str, data: bytes) -> None:
    """Puts an image into the set with its digest in the manifest and new sums, as a careful forger would."""
    (folder / file).write_bytes(data)
    edit(folder, lambda table: with_value(table, "sha256", row_of(folder, file), sha256(folder / file)))
    write_sums(folder)


def flip_a_byte(folder: Path, rng: Rng) -> str:
    (path,) = pick(folder, rng)
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    return path.name


def remove_an_image(folder: Path, rng: Rng) -> str:
    (path,) = pick(folder, rng)
    path.unlink()
    return path.name


def add_an_image(folder: Path, rng: Rng) -> str:
    (path,) = pick(folder, rng)
    added = path.with_name(f"synthetic-0-{rng.integers(900, 999):06d}.png")
    shutil.copy(path, added)
    return added.name


def add_any_file(folder: Path, rng: Rng) -> str:
    place = [folder, folder / "images", folder / "images" / "cup"][rng.integers(3)]
    name = ["notes.txt", "extra.png", ".hidden"][rng.integers(3)]
    (place / name).write_text("x")
    return name


def move_to_another_class(folder: Path, rng: Rng) -> str:
    (path,) = pick(folder, rng)
    others = [each for each in (folder / "images").iterdir() if each.is_dir() and each != path.parent]
    path.rename(others[rng.integers(len(others))] / path.name)
    return path.name


def swap_two_images(folder: Path, rng: Rng) -> str:
    first, second = pick(folder, rng, 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return first.name


def strip_the_mark(folder: Path, rng: Rng) -> str:
    """With its digest put right everywhere, so that nothing but the missing mark tells."""
    (path,) = pick(folder, rng)
    with Image.open(path) as image:
        plain = Image.fromarray(np.asarray(image))
    out = BytesIO()
    plain.save(out, "PNG")
    consistent(folder, path.relative_to(folder).as_posix(), out.getvalue())
    return path.name


def edit_a_row(folder: Path, rng: Rng) -> str:
    column, value = [
        ("label", "cup"),
        ("index", 77),
        ("seed", 5),
        ("generator", "0" * 64),
        ("sha256", "0" * 64),
        ("split", "test"),
    ][rng.integers(6)]
    file = pick(folder, rng)[0].relative_to(folder).as_posix()
    while file.split("/")[1] == "cup":
        file = pick(folder, rng)[0].relative_to(folder).as_posix()
    edit(folder, lambda table: with_value(table, column, row_of(folder, file), value))
    write_sums(folder)
    return Path(file).name


def drop_a_row(folder: Path, rng: Rng) -> str:
    file = pick(folder, rng)[0].relative_to(folder).as_posix()
    edit(folder, lambda table: table.filter(pa.array([name != file for name in table["file"].to_pylist()])))
    write_sums(folder)
    return Path(file).name


def edit_what_describes_the_set(folder: Path, rng: Rng) -> str:
    names = [path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS]
    path = folder / names[rng.integers(len(names))]
    path.write_bytes(path.read_bytes()[: -int(rng.integers(1, 9))])
    return path.name


def miscount(folder: Path, rng: Rng) -> str:
    """Another number of images where the set is described, with new sums."""
    name, count = [("README.md", "| cup | 1 | 3 | 9 |"), ("croissant.json", '"36 labelled images')][rng.integers(2)]
    text = (folder / name).read_text()
    assert count in text
    (folder / name).write_text(text.replace(count, count.replace("3", "4", 1)))
    write_sums(folder)
    return name


def forge_an_image(folder: Path, rng: Rng) -> str:
    (path,) = pick(folder, rng)
    consistent(folder, path.relative_to(folder).as_posix(), repixelled(path.read_bytes()))
    return path.name


def forge_a_label(folder: Path, rng: Rng) -> str:
    """Moves an image to another class, row, name, mark and sums with it: nothing but the generator can tell."""
    index = int(rng.integers(5))
    path = folder / "images" / "tail" / f"synthetic-2-{index:06d}.png"
    with Image.open(path) as image:
        packet, pixels = image.info["xmp"], np.asarray(image)
    moved = folder / "images" / "cup" / f"synthetic-1-{index + 500:06d}.png"
    packet = packet.replace(b'Class="tail"', b'Class="cup"').replace(
        b'Index="%d"' % index, b'Index="%d"' % (index + 500)
    )
    Image.fromarray(pixels).save(moved, xmp=packet)
    row = row_of(folder, path.relative_to(folder).as_posix())
    path.unlink()
    values = {
        "file": moved.relative_to(folder).as_posix(),
        "name": moved.stem,
        "label": "cup",
        "label_index": 1,
        "index": index + 500,
        "sha256": sha256(moved),
    }
    for name, value in values.items():
        edit(folder, lambda table, name=name, value=value: with_value(table, name, row, value))
    write_sums(folder)
    return moved.name


TAMPERINGS = (
    flip_a_byte,
    remove_an_image,
    add_an_image,
    add_any_file,
    move_to_another_class,
    swap_two_images,
    strip_the_mark,
    edit_a_row,
    drop_a_row,
    edit_what_describes_the_set,
    miscount,
    forge_an_image,
    forge_a_label,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project with an image folder in it; read it, do not write to it."""
    workspace = make(tmp_path_factory.mktemp("project"))
    run(params(balance=12, include_real="train"), workspace)
    return workspace


def test_a_set_as_it_was_written_is_whole(project: Workspace) -> None:
    found = verify(project.synthetic, None, project.models)
    assert found.problems == []
    assert (found.images, found.remade) == (36, 26)
    assert verify(project.synthetic, 7, project.models).remade == 7
    assert "none made again" in str(verify(project.synthetic))


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_every_tampering_is_found_and_named(
    project: Workspace, tmp_path: Path, tamper: Callable[[Path, Rng], str]
) -> None:
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        shutil.copytree(project.synthetic, folder)
        name = tamper(folder, np.random.default_rng(seed))
        problems = verify(folder, None, project.models).problems
        assert any(name in problem for problem in problems), (seed, problems)


def test_moved_and_swapped_images_are_said_to_be_that(project: Workspace, tmp_path: Path) -> None:
    for tamper, said in ((move_to_another_class, "relabelled"), (swap_two_images, "holds what belongs at")):
        folder = tmp_path / tamper.__name__
        shutil.copytree(project.synthetic, folder)
        tamper(folder, np.random.default_rng(0))
        problems = verify(folder).problems
        assert problems
        assert all(said in problem for problem in problems)


def relabel_in_a_tar(shard: Path) -> None:
    with tarfile.open(shard) as old:
        members = [(member, old.extractfile(member).read()) for member in old]  # type: ignore[union-attr]
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as new:
        for number, (member, content) in enumerate(members):
            new.addfile(member, BytesIO(b"2" if number == 1 else content))


def relabel_in_a_table(shard: Path) -> None:
    table = pq.read_table(shard)
    pq.write_table(with_value(table, "label", 0, 2), shard)


def repixel_in_a_table(shard: Path) -> None:
    table = pq.read_table(shard)
    image = table["image"][0].as_py()
    pq.write_table(with_value(table, "image", 0, image | {"bytes": repixelled(image["bytes"])}), shard)


def drop_the_first_of_a_table(shard: Path) -> None:
    pq.write_table(pq.read_table(shard).slice(1), shard)


def cut(shard: Path) -> None:
    os.truncate(shard, shard.stat().st_size // 2)


@pytest.mark.parametrize(
    ("kind", "tamper"),
    [
        ("webdataset", relabel_in_a_tar),
        ("webdataset", cut),
        ("webdataset", Path.unlink),
        ("parquet", relabel_in_a_table),
        ("parquet", repixel_in_a_table),
        ("parquet", drop_the_first_of_a_table),
        ("parquet", cut),
        ("parquet", Path.unlink),
    ],
)
def test_tampering_with_shards_is_found_even_with_new_sums(
    tmp_path: Path, kind: str, tamper: Callable[[Path], None]
) -> None:
    workspace = make(tmp_path)
    run(params(balance=8, format=kind, shard_images=6), workspace)
    assert verify(workspace.synthetic, None, workspace.models).problems == []
    shard = sorted((workspace.synthetic / "data").iterdir())[0]
    tamper(shard)
    assert any(f"data/{shard.name}: " in problem for problem in verify(workspace.synthetic).problems)
    write_sums(workspace.synthetic)
    assert any("data/" + shard.name in problem for problem in verify(workspace.synthetic).problems)


@pytest.mark.parametrize("settings", [{"encoding": "jpeg", "quality": 80}, {"encoding": "webp"}, {"mark": False}])
def test_sets_of_other_encodings_are_made_again_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    workspace = make(tmp_path)
    run(params(balance=8, filters={"critic": 0.3}, **settings), workspace)
    found = verify(workspace.synthetic, None, workspace.models)
    assert (found.problems, found.remade) == ([], 14)


def test_a_broken_manifest_is_a_finding(project: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(project.synthetic, folder)
    (folder / "manifest.parquet").write_bytes(b"PAR1")
    assert any("no manifest that can be read" in problem for problem in verify(folder).problems)


def test_another_generator_is_a_finding_and_none_an_error(project: Workspace, tmp_path: Path) -> None:
    other = make(tmp_path, channels=1)
    assert any("another generator" in problem for problem in verify(project.synthetic, 1, other.models).problems)
    with pytest.raises(UserError, match="--model"):
        verify(project.synthetic, 1, tmp_path / "nothing")


def test_the_command_ends_with_0_1_or_2(project: Workspace, tmp_path: Path) -> None:
    run_ = CliRunner().invoke
    whole = run_(main, ["verify", str(project.synthetic), "--all", "--model", str(project.models)])
    assert (whole.exit_code, len(whole.output.splitlines())) == (0, 1)
    assert "26 made again" in whole.output
    folder = tmp_path / "set"
    shutil.copytree(project.synthetic, folder)
    name = remove_an_image(folder, np.random.default_rng(0))
    changed = run_(main, ["verify", str(folder)])
    assert changed.exit_code == 1
    assert f"{name}: missing" in changed.output
    assert run_(main, ["verify", str(tmp_path)]).exit_code == 2
