"""Edits of what the stages wrote: exported sets, generator, store, figures. None may pass for what was made.

    python -m benchmarks.faults.tampering [CASE...] [--verbose] [--keep FOLDER]

A tiny project goes through all stages first, which takes a minute or two. Then each case changes a copy of it, and the
command that reads the changed file has to say so: ``verify`` with exit code 1, a stage with 2, or by making anew what
was edited.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults import sets
from benchmarks.faults.sets import packed, picture
from benchmarks.faults.trials import Case, main, nothing_wrong, run

Edit = Callable[[Path], object]
STAGES = ("ingest", "train", "evaluate", "export", "classify")
TINY: dict[str, dict[str, Any]] = {
    "data": {"source": "folder", "path": "set", "image_size": 8, "near_duplicate_bits": 0, "test_fraction": 0.2},
    "train": {"kimg": 1, "width": 8, "latent_dim": 16, "grid_kimg": 1, "checkpoint_seconds": 0},
    "evaluate": {"samples": 50, "repeats": 2, "embedder_steps": 10, "gates": {"copies": "<= 1.0"}},
    "export": {"balance": 40},
    "classify": {
        **{"seeds": 5, "draws": 1, "doses": [0.5, 1.0], "tuning": [[2e-2, 5e-2]], "tuning_seeds": 1},
        **{"steps": 3, "width": 8, "bootstrap": 200},
    },
}
VERIFY = ("verify", "synthetic", "--sample", "4")


def made(project: Path, stages: tuple[str, ...] = STAGES) -> None:
    """A project that went through ``stages``."""
    sets.write(project / "set", sets.good(per_class=60))
    (project / "params.yaml").write_text(json.dumps(TINY), encoding="utf-8")
    for stage in stages:
        ended = run(project, (stage,), 600)
        assert ended.code == 0, f"{stage}: {ended.said}"


def cases(options: argparse.Namespace) -> Iterator[Case]:  # noqa: ARG001
    """All of them."""
    yield Case("untouched set", lambda project: project, nothing_wrong, VERIFY)
    yield from (_found(f"set: {name}", edit) for name, edit in SET_EDITS.items())
    yield from (_found(f"set and sums: {name}", _in_step(edit)) for name, edit in IN_STEP.items())
    yield from (_found(f"generator, verify: {name}", edit) for name, edit in GENERATOR_EDITS.items())
    for name, edit in GENERATOR_EDITS.items():
        yield _refused(f"generator, sample: {name}", edit, "sample", "--class", "nut", "-n", "4", "--out", "nut.png")
        yield _refused(f"generator, export: {name}", edit, "export")
    for name, edit in STORE_EDITS.items():
        yield _refused(f"store, train: {name}", edit, "train", "--dry-run")
        yield _refused(f"store, export: {name}", edit, "export")
    for file, command in FIGURES.items():
        for name, edit in JSON_EDITS.items():
            lay, codes = _on(f"metrics/{file}", edit), (1, 2) if command == VERIFY else (2, 75)
            yield Case(f"{file}, {command[0]}: {name}", lay, nothing_wrong, command, codes, refused=True)
    yield from _decisions()
    yield from _odd_places()


def _found(name: str, edit: Edit) -> Case:
    return Case(name, edit, nothing_wrong, VERIFY, (1, 2), refused=True)


def _refused(name: str, edit: Edit, *command: str) -> Case:
    return Case(name, edit, nothing_wrong, command, refused=True)


def _on(path: str, edit: Edit) -> Edit:
    return lambda project: edit(project / path)


def _file(pattern: str, edit: Edit, number: int = 0) -> Edit:
    return lambda project: edit(
        sorted(path for path in (project / "synthetic").glob(pattern) if path.is_file())[number]
    )


def _flip(place: float, by: int = 1) -> Edit:
    def edit(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(place * len(data)), len(data) - 1)] ^= by
        path.write_bytes(data)

    return edit


def _text(old: str, new: str) -> Edit:
    def edit(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{path} does not say {old}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def _write(data: bytes) -> Edit:
    return lambda path: path.write_bytes(data)


def _append(data: bytes) -> Edit:
    return lambda path: path.write_bytes(path.read_bytes() + data)


def _instead(make: Edit) -> Edit:
    def edit(path: Path) -> None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return edit


def _swap(first: Path, second: Path) -> None:
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def _images(project: Path) -> list[Path]:
    return sorted((project / "synthetic/images").rglob("*.png"))


def _other_class(project: Path) -> None:
    path = _images(project)[0]
    folders = sorted(folder for folder in (project / "synthetic/images").iterdir() if folder.is_dir())
    path.rename(next(folder for folder in folders if folder != path.parent) / path.name)


def _table(change: Callable[[pa.Table], pa.Table]) -> Edit:
    def edit(project: Path) -> None:
        path = project / "synthetic/manifest.parquet"
        pq.write_table(change(pq.read_table(path)), path)

    return edit


def _first_value(column: str, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        field = table.schema.field(column)
        return table.set_column(place, field, pa.array([value, *table[column].to_pylist()[1:]], field.type))

    return change


SET_EDITS: dict[str, Edit] = {
    **{f"a bit of an image at {place}": _file("images/**/*.png", _flip(place)) for place in (0, 0.3, 0.6, 1)},
    **{f"a bit of {name}": _file(name, _flip(0.5)) for name in ("README.md", "croissant.json", "manifest.parquet")},
    **{
        f"a byte behind {name}": _file(name, _append(b"\n")) for name in ("README.md", "manifest.parquet", "SHA256SUMS")
    },
    **{
        f"no {name}": _file(name, Path.unlink)
        for name in ("README.md", "croissant.json", "manifest.parquet", "SHA256SUMS", "images/**/*.png")
    },
    "an image of one's own": _file("images/**/*.png", _write(packed(picture(1)))),
    "two images change places": lambda project: _swap(_images(project)[0], _images(project)[-1]),
    "an image under another label": _other_class,
    "an image twice": lambda project: shutil.copy(_images(project)[0], _images(project)[0].with_name("zz.png")),
    "a hidden file": lambda project: (project / "synthetic/images/.x").touch(),
    "a further class, empty": lambda project: (project / "synthetic/images/aaa").mkdir(),
    "a folder beside": lambda project: (project / "synthetic/test").mkdir(),
    "metadata.csv": lambda project: (project / "synthetic/images/metadata.csv").write_text("file_name,label\n"),
    "a further table": lambda project: (project / "synthetic/data.parquet").write_bytes(b""),
    "a link to the folder above": lambda project: (project / "synthetic/images/up").symlink_to(".."),
    "a link to nothing": lambda project: (project / "synthetic/images/air").symlink_to("nothing"),
    "a pipe": lambda project: os.mkfifo(project / "synthetic/images/pipe.png"),
    "a pipe for an image": _file("images/**/*.png", _instead(os.mkfifo)),
    "a pipe for the manifest": _file("manifest.parquet", _instead(os.mkfifo)),
    "a pipe for the sums": _file("SHA256SUMS", _instead(os.mkfifo)),
    "a device for an image": _file("images/**/*.png", _instead(lambda path: path.symlink_to("/dev/zero"))),
    "a folder for the card": _file("README.md", _instead(Path.mkdir)),
    "a manifest of zeros": _file("manifest.parquet", _write(bytes(5000))),
    "a manifest cut": lambda project: os.truncate(project / "synthetic/manifest.parquet", 3000),
    "an empty manifest": _file("manifest.parquet", _write(b"")),
    "sums of zeros": _file("SHA256SUMS", _write(bytes(500))),
    "sums of one file less": _file("SHA256SUMS", lambda path: path.write_text(path.read_text().partition("\n")[2])),
    "a file name with a line break": lambda project: (project / "synthetic/a\nb").touch(),
}

IN_STEP: dict[str, Edit] = {
    "an image of one's own": SET_EDITS["an image of one's own"],
    "an image under another label": _other_class,
    "two images change places": SET_EDITS["two images change places"],
    "the card": _file("README.md", _append(b"It is very good.\n")),
    "rows turned round": _table(lambda table: table.take(list(range(len(table)))[::-1])),
    "a row less": _table(lambda table: table.slice(1)),
    "a row twice": _table(lambda table: pa.concat_tables([table, table.slice(0, 1)])),
    **{
        f"another {column}": _table(_first_value(column, value))
        for column, value in (
            *(("label", "nut "), ("label_index", 1), ("sha256", "0" * 64), ("split", "test"), ("index", 7)),
            *(("synthetic", False), ("seed", 1), ("generator", "0" * 64), ("file", "images/nut/../x.png")),
        )
    },
    "a column less": _table(lambda table: table.drop_columns(["label"])),
    "no description in the manifest": _table(lambda table: table.replace_schema_metadata(None)),
}


def _in_step(edit: Edit) -> Edit:
    """As a careful forger leaves it: with new sums, and a new digest of the manifest."""

    def both(project: Path) -> None:
        edit(project)
        folder = project / "synthetic"
        croissant = json.loads((folder / "croissant.json").read_bytes())
        croissant["distribution"][0]["sha256"] = _sha256(folder / "manifest.parquet")
        text = json.dumps(croissant, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / "croissant.json").write_text(text + "\n", encoding="utf-8")
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        names = [line.partition("  ")[2] for line in lines]
        sums = "".join(f"{_sha256(folder / name)}  {name}\n" for name in names if (folder / name).is_file())
        (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")

    return both


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _card(**values: object) -> Edit:
    def edit(project: Path) -> None:
        path = project / "models/generator.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="utf-8")

    return edit


def _shape(**values: int) -> Edit:
    def edit(project: Path) -> None:
        shape = json.loads((project / "models/generator.json").read_bytes())["shape"]
        _card(shape=shape | values)(project)

    return edit


WEIGHTS, CARD = "models/generator.safetensors", "models/generator.json"
GENERATOR_EDITS: dict[str, Edit] = {
    "a bit of its weights": _on(WEIGHTS, _flip(0.9)),
    "a bit of its header": _on(WEIGHTS, _flip(0.001)),
    "a header of 2**60 bytes": _on(WEIGHTS, lambda path: path.write_bytes(b"\0" * 7 + b"\x10" + bytes(99))),
    "weights cut": lambda project: os.truncate(project / WEIGHTS, 20_000),
    "no weights": _on(WEIGHTS, Path.unlink),
    "a pipe for weights": _on(WEIGHTS, _instead(os.mkfifo)),
    "a folder for weights": _on(WEIGHTS, _instead(Path.mkdir)),
    "no card": _on(CARD, Path.unlink),
    "an empty card": _on(CARD, _write(b"")),
    "a card of a list": _on(CARD, _write(b"[]")),
    "a card of brackets": _on(CARD, _write(b"[" * 100_000)),
    "a card of zeros": _on(CARD, _write(bytes(400))),
    "a width of a million": _shape(width=10**6),
    "images of a million pixels": _shape(image_size=2**20),
    "a width of 2**200": _shape(width=2**200),
    "a negative width": _shape(width=-8),
    "classes that are a number": _card(classes=3),
    "other classes": _card(classes=["a", "b"]),
    "an unknown family": _card(family="biggan"),
}


def _summary(**values: object) -> Edit:
    def edit(project: Path) -> None:
        path = project / "data/store/summary.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="utf-8")

    return edit


def _labels(value: int) -> Edit:
    def edit(project: Path) -> None:
        labels = np.load(project / "data/store/labels.npy")
        labels[0] = value
        np.save(project / "data/store/labels.npy", labels)

    return edit


def _images_as(array: np.ndarray) -> Edit:
    return lambda project: np.save(project / "data/store/images.npy", array)


SUMMARY, IMAGES, LABELS = (f"data/store/{name}" for name in ("summary.json", "images.npy", "labels.npy"))
STORE_EDITS: dict[str, Edit] = {
    "no images": _on(IMAGES, Path.unlink),
    "empty images": _on(IMAGES, _write(b"")),
    "images cut": lambda project: os.truncate(project / IMAGES, 9000),
    "images of text": _on(IMAGES, _write(b"no array\n" * 99)),
    "images of objects": _images_as(np.array([{"a": 1}], dtype=object)),
    "images of floats": _images_as(np.zeros((120, 3, 8, 8), np.float32)),
    "fewer images": _images_as(np.zeros((20, 3, 8, 8), np.uint8)),
    "larger images": _images_as(np.zeros((120, 3, 16, 16), np.uint8)),
    "a pipe for images": _on(IMAGES, _instead(os.mkfifo)),
    "a folder for images": _on(IMAGES, _instead(Path.mkdir)),
    "labels out of range": _labels(9),
    "negative labels": _labels(-1),
    "no labels": _on(LABELS, Path.unlink),
    "labels cut": lambda project: os.truncate(project / LABELS, 200),
    "splits beyond the end": _summary(splits={"train": [0, 72], "val": [72, 96], "test": [96, 900]}),
    "splits over one another": _summary(splits={"train": [0, 120], "val": [72, 96], "test": [96, 120]}),
    "no splits": _summary(splits={}),
    "splits of words": _summary(splits="all"),
    "no classes": _summary(classes=[]),
    "a class twice": _summary(classes=["bolt", "bolt"]),
    "a size of 2**40": _summary(image_size=2**40),
    "a summary of a list": _on(SUMMARY, _write(b"[]")),
    "a summary of brackets": _on(SUMMARY, _write(b"[" * 100_000)),
    "an empty summary": _on(SUMMARY, _write(b"")),
    "a summary of Latin-1": _on(SUMMARY, _write('{"classes": ["Käse"]}'.encode("latin-1"))),
}

FIGURES: dict[str, tuple[str, ...]] = {
    "quality.json": ("export",),
    "utility.json": ("results",),
    "export.json": VERIFY,
}
JSON_EDITS: dict[str, Edit] = {
    "a list": _write(b"[]"),
    "an empty object": _write(b"{}"),
    "empty": _write(b""),
    "brackets": _write(b"[" * 100_000),
    "a number": _write(b"7"),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zeros": _write(bytes(300)),
    "a folder": _instead(Path.mkdir),
    "a pipe": _instead(os.mkfifo),
    "words for numbers": lambda path: path.write_text(
        json.dumps(dict.fromkeys(json.loads(path.read_bytes()), "many")), encoding="utf-8"
    ),
}


def _set(path: str, *keys: str, value: object) -> Edit:
    def edit(project: Path) -> None:
        content = json.loads((project / path).read_bytes())
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (project / path).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    return edit


def _decisions() -> Iterator[Case]:
    """Figures that decide something, edited by hand: the command makes them anew, or refuses; never believes them."""
    quality, utility = "metrics/quality.json", "metrics/utility.json"
    yield _refused("quality.json by hand: no copies", _set(quality, "copies", value={"share": 0.0}), "export")
    yield _refused(
        "quality.json by hand: nothing below the floor", _set(quality, "below_floor", value=["kid"]), "export"
    )
    helps = _set(utility, "verdict", value="HELPS")
    yield Case("utility.json by hand: HELPS, results", helps, nothing_wrong, ("results",), refused=True)
    yield Case("utility.json by hand: HELPS, card", helps, nothing_wrong, ("card",), refused=True)
    require = ("classify", "--require", "helps")
    yield Case("utility.json by hand: HELPS, require", helps, nothing_wrong, require, (1, 2), refused=True)


def _odd_places() -> Iterator[Case]:
    """Folders and files in the places of others."""
    for name, command in (("models", "export"), ("data/store", "train"), ("metrics", "export")):

        def lay(project: Path, name: str = name) -> None:
            shutil.rmtree(project / name)
            (project / name).write_text("a file")

        yield _refused(f"a file for {name}, {command}", lay, command)
    state = lambda project: (project / ".augmint/train/state.safetensors").mkdir(parents=True)  # noqa: E731
    yield Case("state.safetensors as a folder", state, nothing_wrong, ("train",))
    yield Case(
        "a folder for params.yaml", _on("params.yaml", _instead(Path.mkdir)), nothing_wrong, ("check",), refused=True
    )
    yield Case(
        "a pipe for params.yaml", _on("params.yaml", _instead(os.mkfifo)), nothing_wrong, ("check",), refused=True
    )


if __name__ == "__main__":
    sys.exit(main("tampering", cases, made))
