"""Whatever is changed in a set, in any format, is found: bytes, kinds of paths, order, and what a reader would see."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from torchvision.datasets import ImageFolder

from gan.checkpoint import save_network
from gan.networks import Shape, build
from pipeline.cli import main
from pipeline.export.verify import verify
from pipeline.formats.checksums import SUMS, write_sums
from pipeline.stages.export import run
from pipeline.workspace import Workspace
from tests.pipeline.export_project import make, params

KINDS = ("imagefolder", "splits", "webdataset", "parquet")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    """A project with a set of each kind; tests change copies."""
    found = {}
    for kind in KINDS:
        found[kind] = make(tmp_path_factory.mktemp(kind))
        export = {"include_real": "all"} if kind == "splits" else {"format": kind, "shard_images": 4}
        run(params(balance=5, classes={"a/b": 0}, **export), found[kind])
    return found


@pytest.fixture(params=KINDS)
def set_(request: pytest.FixtureRequest, projects: dict[str, Workspace], tmp_path: Path) -> Path:
    """A set of one's own, outside of any project."""
    return Path(shutil.copytree(projects[request.param].synthetic, tmp_path / "set"))


def paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def one_of_each(folder: Path) -> list[Path]:
    """Every file that describes the set, and two that hold images."""
    found = paths(folder)
    images = [path for path in found if path.suffix in (".png", ".tar") or path.parent.name == "data"]
    return [path for path in found if path not in images] + [images[0], images[-1]]


def reseal(folder: Path) -> None:
    """New sums, and a new digest of the manifest in the metadata, as a careful forger would leave them."""
    croissant = json.loads((folder / "croissant.json").read_text())
    croissant["distribution"][0]["sha256"] = hashlib.sha256((folder / "manifest.parquet").read_bytes()).hexdigest()
    text = json.dumps(croissant, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "croissant.json").write_text(text + "\n")
    write_sums(folder)


def problems(folder: Path) -> list[str]:
    """What is found without the generator."""
    return verify(folder, 0).problems


def test_a_set_of_any_kind_is_whole_and_links_to_its_files_are_said(set_: Path, tmp_path: Path) -> None:
    found = verify(set_, 0)
    assert (found.problems, found.links) == ([], 0)
    (tmp_path / "cache").mkdir()
    files = paths(set_)
    for number, path in enumerate(files):  # as `dvc checkout` with cache.type symlink
        path.rename(tmp_path / "cache" / str(number))
        path.symlink_to(tmp_path / "cache" / str(number))
    found = verify(set_, 0)
    assert (found.problems, found.links) == ([], len(files))
    assert f"{len(files)} files are links" in str(found)


@pytest.mark.parametrize("set_", ["splits", "webdataset", "parquet"], indirect=True)
def test_every_byte_counts(set_: Path) -> None:
    for path in one_of_each(set_):
        data = path.read_bytes()
        changes = [data + b"x", data + b"\n", b"\x00" + data]
        for place in (0, len(data) // 2, len(data) - 1) if data else ():
            changes += [data[:place], data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]]
        for changed in changes:
            path.write_bytes(changed)
            found = problems(set_)  # of the sums, a digit names the file that it is of
            assert any(path.name in line or path.name == SUMS for line in found), (path, len(changed))
        path.write_bytes(data)
    assert problems(set_) == []


@pytest.mark.parametrize("set_", ["splits", "webdataset", "parquet"], indirect=True)
def test_every_file_that_is_missing_is_named_and_none_but_a_file_is_opened(set_: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "folder").mkdir()
    replacements: list[Callable[[Path], object]] = [
        lambda path: None,
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to(tmp_path / "other"),
        lambda path: path.symlink_to(tmp_path / "folder"),
        lambda path: path.symlink_to(tmp_path / "nothing"),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.name),
    ]
    for path in one_of_each(set_):
        kept = path.read_bytes()
        for replace in replacements:
            path.unlink()
            replace(path)
            assert any(path.name in line for line in problems(set_)), path
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(kept)
    assert problems(set_) == []


ADDED = (
    *("train", "test", ".hidden", "__pycache__", "metadata.csv", "metadata.jsonl", "dataset_info.json", "x.png"),
    *("README.MD", "manifest.parquet.bak", "data", "data/train-99999.tar", "data/extra.parquet", "data/.x"),
    *("images", "images/aaa", "images/Cup", "images/.x", "images/metadata.csv", "images/metadata.parquet"),
    *("images/train", "images/cup/x", "images/cup/metadata.jsonl", "images/cup/.keep", "images/train/aaa"),
    *("images/tail/synthetic-2-000099.png", "images/val/cup/.x", "sub/sub/sub", "line\nbreak", "\udce9", "cafe\u0301"),
)
MAKERS: tuple[Callable[[Path], object], ...] = (
    Path.mkdir,
    lambda path: path.write_bytes(b""),
    lambda path: path.symlink_to(path.parent),
    lambda path: path.symlink_to(Path(__file__)),
    os.mkfifo,
)


@pytest.mark.parametrize("set_", ["imagefolder", "webdataset"], indirect=True)
@pytest.mark.parametrize("name", ADDED)
def test_whatever_is_added_is_found(set_: Path, name: str) -> None:
    """Of every kind, also when the sums list it."""
    path = set_ / name
    if os.path.lexists(path):
        pytest.skip("a part of the set")
    for above in reversed(path.relative_to(set_).parents):
        (set_ / above).mkdir(exist_ok=True)
    sums = (set_ / SUMS).read_bytes()
    for make_ in MAKERS:
        make_(path)
        assert any(line.startswith(name) for line in problems(set_)), make_
        if path.is_file() and name.isprintable():
            write_sums(set_)
            assert any(line.startswith(name) for line in problems(set_)), make_
            (set_ / SUMS).write_bytes(sums)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize("name", ["aaa", "zzz", "Cup"])
def test_a_class_more_is_told_as_image_folder_counts_it(
    projects: dict[str, Workspace], tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(projects["imagefolder"].synthetic, tmp_path / "set"))
    (folder / "images" / name).mkdir()
    counted = len(ImageFolder(str(folder / "images"), allow_empty=True).classes)
    assert f"images: ImageFolder finds {counted} classes, not 3: {name!r} differs" in problems(folder)


def test_a_folder_that_is_a_link_is_found(set_: Path, tmp_path: Path) -> None:
    top = next(path for path in set_.iterdir() if path.is_dir())
    top.rename(tmp_path / "elsewhere")
    top.symlink_to(tmp_path / "elsewhere")
    assert any(line.startswith(f"{top.name}: a link to a folder") for line in problems(set_))


def table_of(folder: Path) -> pa.Table:
    return pq.read_table(folder / "manifest.parquet")


def rewrite(folder: Path, table: pa.Table) -> None:
    pq.write_table(table, folder / "manifest.parquet")


def swap_two_rows(folder: Path) -> None:
    table = table_of(folder)
    order = list(range(len(table)))
    order[2], order[3] = 3, 2
    rewrite(folder, table.take(order))


def move_real_rows_to_the_end(folder: Path) -> None:
    table = table_of(folder)
    rewrite(folder, table.take([*range(1, len(table)), 0]))


def repeat_a_row(folder: Path) -> None:
    table = table_of(folder)
    rewrite(folder, table.take([*range(len(table)), len(table) - 1]))


def change(column: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        table = table_of(folder)
        place = table.schema.get_field_index(column)
        values = [value, *table[column].to_pylist()[1:]]
        rewrite(
            folder,
            table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type)),
        )

    edit.__name__ = f"another_{column}"
    return edit


def about(**values: object) -> Callable[[Path], None]:
    """Changes what the manifest says of the whole set."""

    def edit(folder: Path) -> None:
        table = table_of(folder)
        content = json.loads(table.schema.metadata[b"augmint"]) | values
        if "splits" in values and len(content["splits"]) != 1:
            return
        rewrite(folder, table.replace_schema_metadata({b"augmint": json.dumps(content).encode()}))

    edit.__name__ = f"about_{next(iter(values))}_{str(next(iter(values.values())))[:12]}"
    return edit


def edit_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for path in folder.rglob(name):
            path.write_text(path.read_text().replace(old, new, 1))

    edit.__name__ = f"{name}_{new.strip()[:12]}"
    return edit


def drop_the_metadata_of_one(folder: Path) -> None:
    for path in folder.rglob("metadata.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def swap_two_lines_of_metadata(folder: Path) -> None:
    for path in folder.rglob("metadata.jsonl"):
        first, second, *rest = [*path.read_text().splitlines(keepends=True), "\n"]
        path.write_text("".join([second, first, *rest]))


def fill_the_keeper(folder: Path) -> None:
    for path in folder.rglob(".keep"):
        path.write_text("x")


Members = list[tuple[tarfile.TarInfo, bytes]]


def members(shard: Path) -> Members:
    with tarfile.open(shard) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def retar(
    change: Callable[[Members], Members],
) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for shard in sorted(folder.glob("data/*.tar"))[:1]:
            changed = change(members(shard))
            with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
                for member, content in changed:
                    member.size = len(content)
                    tar.addfile(member, BytesIO(content))

    edit.__name__ = change.__name__
    return edit


def swap_pairs(found: Members) -> Members:
    return found[2:4] + found[:2] + found[4:]


def labels_first(found: Members) -> Members:
    return [found[1], found[0], *found[2:]]


def a_caption(found: Members) -> Members:
    return [*found[:2], (tarfile.TarInfo(found[0][0].name.replace(".png", ".json")), b"{}"), *found[2:]]


def a_second_label(found: Members) -> Members:
    return [*found[:2], (tarfile.TarInfo(found[1][0].name), b"2"), *found[2:]]


def a_padded_label(found: Members) -> Members:
    return [found[0], (found[1][0], b" " + found[1][1]), *found[2:]]


def an_owner(found: Members) -> Members:
    found[0][0].uname = "someone"
    return found


def append_to_tars(folder: Path) -> None:
    for shard in folder.glob("data/*.tar"):
        shard.write_bytes(shard.read_bytes() + shard.read_bytes())


def huge_member(folder: Path) -> None:
    for shard in sorted(folder.glob("data/*.tar"))[:1]:
        header = tarfile.TarInfo("synthetic-0-000000.png")
        header.size = 2**40
        shard.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + shard.read_bytes())


def retable(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for shard in sorted(folder.glob("data/*.parquet"))[:1]:
            pq.write_table(change(pq.read_table(shard)), shard, compression="none", use_dictionary=False)

    edit.__name__ = change.__name__
    return edit


def other_names(table: pa.Table) -> pa.Table:
    features = json.loads(table.schema.metadata[b"huggingface"])
    features["info"]["features"]["label"]["names"].reverse()
    return table.replace_schema_metadata({b"huggingface": json.dumps(features)})


def no_names(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)


def a_further_column(table: pa.Table) -> pa.Table:
    return table.append_column("caption", pa.array(["x"] * len(table)))


def narrow_labels(table: pa.Table) -> pa.Table:
    return table.set_column(1, "label", table["label"].cast(pa.int32()))


def reversed_rows(table: pa.Table) -> pa.Table:
    return table.take(list(range(len(table)))[::-1])


def a_row_without_an_image(table: pa.Table) -> pa.Table:
    return pa.Table.from_pylist([{"image": None, "label": 0}, *table.to_pylist()], schema=table.schema)


def another_path(table: pa.Table) -> pa.Table:
    rows = table.to_pylist()
    rows[0]["image"]["path"] = f"sub/{rows[0]['image']['path']}"
    return pa.Table.from_pylist(rows, schema=table.schema)


def swap_two_shards(folder: Path) -> None:
    """Files and rows in step: nothing but the order of parts tells."""
    shards = sorted(folder.glob("data/*"))
    if shards:
        names = [f"data/{shard.name}" for shard in shards[:2]]
        first, second = (shard.read_bytes() for shard in shards[:2])
        shards[0].write_bytes(second)
        shards[1].write_bytes(first)
        table = table_of(folder)
        files = [names[1 - names.index(f)] if f in names else f for f in table["file"].to_pylist()]
        rewrite(folder, table.set_column(0, table.schema.field("file"), pa.array(files)))


def upper_case_sums(folder: Path) -> None:
    (folder / SUMS).write_text(
        "".join(line[:64].upper() + line[64:] for line in (folder / SUMS).read_text().splitlines(True))
    )


def reversed_sums(folder: Path) -> None:
    (folder / SUMS).write_text("".join(reversed((folder / SUMS).read_text().splitlines(True))))


def a_line_in_the_sums(folder: Path) -> None:
    (folder / SUMS).write_text((folder / SUMS).read_text() + "0" * 64 + "  gone\n")


def a_blank_line_in_the_sums(folder: Path) -> None:
    (folder / SUMS).write_text("\n" + (folder / SUMS).read_text())


IN_STEP = (
    *(swap_two_rows, move_real_rows_to_the_end, repeat_a_row),
    *(change("file", "images/x.png"), change("name", "x"), change("sha256", "0" * 64), change("split", "val")),
    *(change("label", "tail"), change("label_index", 9), change("index", 77), change("synthetic", True)),
    *(change("params", "x"), change("augmint", "x"), change("seed", 9), change("generator", "x")),
    *(about(classes=["cup", "a/b", "tail"]), about(classes=["a/b", "cup"]), about(classes=[]), about(classes="abc")),
    *(about(seed=1), about(generator="x"), about(params={}), about(params=[]), about(augmint="0"), about(more=1)),
    *(about(splits=["test"]), about(channels=7), about(overridden=["kid"]), about(image_size=9)),
    *(edit_text("README.md", "path: ", "path: x"), edit_text("README.md", "license: unknown", "license: mit")),
    *(edit_text("README.md", "configs:", "x: 1\nconfigs:"), edit_text("README.md", "| cup |", "| cap |")),
    *(edit_text("README.md", "## Limits", "## Limit"), edit_text("README.md", "## Quality", "## Sizes\n\n## Quality")),
    *(edit_text("croissant.json", '"images', '"image'), edit_text("croissant.json", "label_index", "index_label")),
    *(
        edit_text("metadata.jsonl", "cup", "tail"),
        drop_the_metadata_of_one,
        swap_two_lines_of_metadata,
        fill_the_keeper,
    ),
    *(retar(swap_pairs), retar(labels_first), retar(a_caption), retar(a_second_label), retar(a_padded_label)),
    *(retar(an_owner), append_to_tars, huge_member, swap_two_shards),
    *(
        retable(other_names),
        retable(no_names),
        retable(a_further_column),
        retable(narrow_labels),
        retable(reversed_rows),
    ),
    *(retable(a_row_without_an_image), retable(another_path)),
)


@pytest.mark.parametrize("edit", IN_STEP, ids=lambda edit: edit.__name__)
def test_an_edit_in_step_with_the_sums_is_found(set_: Path, edit: Callable[[Path], None]) -> None:
    before = {path: path.read_bytes() for path in paths(set_)}
    edit(set_)
    if {path: path.read_bytes() for path in paths(set_)} == before:
        pytest.skip("nothing of that kind in this format")
    reseal(set_)
    assert problems(set_)


def test_what_only_repacks_a_set_is_no_finding(set_: Path) -> None:
    """So that the edits above are found for what they change."""

    def the_same(what: Any) -> Any:
        return what

    rewrite(set_, table_of(set_))
    retar(the_same)(set_)
    retable(the_same)(set_)
    reseal(set_)
    assert problems(set_) == []


@pytest.mark.parametrize(
    "edit",
    [upper_case_sums, reversed_sums, a_line_in_the_sums, a_blank_line_in_the_sums],
    ids=lambda edit: edit.__name__,
)
def test_an_edit_of_the_sums_is_found(set_: Path, edit: Callable[[Path], None]) -> None:
    edit(set_)
    assert any(SUMS in line or "changed" in line for line in problems(set_))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_removed_with_all_that_was_said_of_it_is_found_by_the_projects_seal(
    projects: dict[str, Workspace], tmp_path: Path, kind: str
) -> None:
    """The set is made anew without the last image of each class, as whole as any; its seal is another."""
    project = Workspace(Path(shutil.copytree(projects[kind].root, tmp_path / "project")))
    other = make(tmp_path / "other")
    export = {"include_real": "all"} if kind == "splits" else {"format": kind, "shard_images": 4}
    run(params(balance=4, classes={"a/b": 0}, **export), other)
    assert problems(project.synthetic) == problems(other.synthetic) == []
    shutil.rmtree(project.synthetic)
    shutil.copytree(other.synthetic, project.synthetic)
    assert any("exported last" in line for line in problems(project.synthetic))
    for damaged in ("{}", "[]", "", "[" * 100_000):
        project.metrics("export").write_text(damaged)
        assert any("no seal" in line for line in problems(project.synthetic))
    for replacement in (Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nothing")):
        project.metrics("export").rmdir() if project.metrics("export").is_dir() else project.metrics("export").unlink()
        replacement(project.metrics("export"))
        assert any("no seal" in line for line in problems(project.synthetic))
    project.metrics("export").unlink()
    assert problems(project.synthetic) == []


def damage_weights(models: Path) -> None:
    path = models / "generator.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def card_of(text: str) -> Callable[[Path], object]:
    return lambda models: (models / "generator.json").write_text(text)


def other_classes(models: Path) -> None:
    card = json.loads((models / "generator.json").read_text())
    (models / "generator.json").write_text(json.dumps(card | {"classes": ["x", "y", "z"]}))


def no_classes(models: Path) -> None:
    card = json.loads((models / "generator.json").read_text())
    (models / "generator.json").write_text(json.dumps(card | {"classes": 3}))


def a_pipe(models: Path) -> None:
    (models / "generator.safetensors").unlink()
    os.mkfifo(models / "generator.safetensors")


def a_dangling_link(models: Path) -> None:
    (models / "generator.json").unlink()
    (models / "generator.json").symlink_to("nothing")


@pytest.mark.parametrize(
    "damage",
    [
        damage_weights,
        *(card_of(text) for text in ("", "{", "[]", "{}", "3", '"x"', "null", "[" * 100_000, '{"sha256": 1}')),
        *(other_classes, no_classes, a_pipe, a_dangling_link),
        lambda models: (models / "generator.json").unlink(),
        lambda models: (models / "generator.safetensors").unlink(),
        lambda models: os.truncate(models / "generator.safetensors", 9),
    ],
)
def test_a_damaged_generator_is_told_from_none(
    projects: dict[str, Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    root = Path(shutil.copytree(projects["parquet"].root, tmp_path / "project"))
    monkeypatch.chdir(root)
    assert CliRunner().invoke(main, ["verify", "synthetic"]).exit_code == 0
    damage(root / "models")
    for options in ([], ["--model", "models"]):
        result = CliRunner().invoke(main, ["verify", "synthetic", *options])
        assert result.exit_code == 1
        assert "models: the generator" in result.output
        assert "Traceback" not in result.output


def test_no_generator_and_another_one_are_no_finding(
    projects: dict[str, Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(projects["imagefolder"].root, tmp_path / "project"))
    monkeypatch.chdir(root)
    assert "5 made again" in CliRunner().invoke(main, ["verify", "synthetic", "--sample", "6"]).output
    network = build("resnet", "generator", Shape(8, 3, 3, 8, 8))
    save_network(root / "models", "generator", network, {"family": "resnet", "classes": ["a/b", "cup", "tail"]})
    result = CliRunner().invoke(main, ["verify", "synthetic"])
    assert result.exit_code == 0 and "none made again (give --model" in result.output
    assert CliRunner().invoke(main, ["verify", "synthetic", "--model", "models"]).exit_code == 1
    shutil.rmtree(root / "models")
    result = CliRunner().invoke(main, ["verify", "synthetic"])
    assert result.exit_code == 0 and "none made again (give --model" in result.output
    assert CliRunner().invoke(main, ["verify", "synthetic", "--model", "models"]).exit_code == 2


def test_what_is_printed_of_a_strange_name_acts_on_no_terminal(set_: Path) -> None:
    (set_ / "a\x1b[31m\nb\udce9").write_text("x")
    result = CliRunner().invoke(main, ["verify", str(set_)])
    assert result.exit_code == 1
    assert "a\\x1b[31m\\nb\\udce9: added" in result.output
