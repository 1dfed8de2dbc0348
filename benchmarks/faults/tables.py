"""Tables and Hub layouts as people write them, and broken ones, against what was written into them.

    python -m benchmarks.faults.tables [CASE...] [--verbose] [--keep FOLDER]

The right labels and splits are those that the case wrote; where `datasets` reads the same folder, its splits are meant.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults import sets
from benchmarks.faults.sets import Sample, packed, picture
from benchmarks.faults.trials import Case, main

GOOD = sets.good()
ROWS = [(path, sample.label) for path, sample in GOOD.items()]
SPLITS = ("train", "validation", "test")


def cases(options: argparse.Namespace) -> Iterator[Case]:  # noqa: ARG001
    """All of them."""
    yield from _plain()
    yield from _encoded()
    yield from _rows()
    yield from _paths()
    yield from _columns()
    yield from _parquet_tables()
    yield from _hub()
    yield from _hub_damage()


def table(name: str, data: bytes | str, samples: Sequence[Sample] | None = None, **more: object) -> Case:
    """Images, and a table beside them called as the case is after its last space; ``more`` as for the class."""
    refused, unread = bool(more.get("refused")), int(str(more.get("unread", 0)))

    def lay(project: Path) -> None:
        sets.choose(project, "table", max_bad_fraction=0.5)
        sets.write(project / "set", GOOD)
        content = data if isinstance(data, bytes) else data.encode()
        (project / "set" / str(more.get("file", "labels.csv"))).write_bytes(content)

    right = sets.judged_by(list(GOOD.values()) if samples is None else samples, unread=unread)
    return Case(name, lay, right, refused=refused)


def csv(delimiter: str = ",", end: str = "\n", header: Sequence[str] = ("path", "label"), rows: object = None) -> str:
    """A table of text without any quotation marks of its own."""
    lines = [header, *(ROWS if rows is None else rows)]  # type: ignore[misc]
    return "".join(delimiter.join(line) + end for line in lines)


def _plain() -> Iterator[Case]:
    yield table("plain", csv())
    for name, delimiter in (("semicolons", ";"), ("tabs", "\t"), ("bars", "|")):
        yield table(name, csv(delimiter))
    yield table("a .TSV", csv("\t"), file="labels.TSV")
    yield table("a .CSV", csv(), file="labels.CSV")
    for name, end in (("Windows ends", "\r\n"), ("old Mac ends", "\r"), ("no last end", "\n")):
        yield table(name, csv(end=end).rstrip("\n") if "last" in name else csv(end=end))
    yield table("Excel's separator line", "sep=;\n" + csv(";"))
    yield table("spaces after delimiters", csv(", "))
    yield table("all in quotation marks", csv(rows=[(f'"{a}"', f'"{b}"') for a, b in ROWS]))
    yield table("names in upper case", csv(header=("PATH", "Label")))
    yield table("file_name", csv(header=("file_name", "label")))
    yield table("blank lines", csv(end="\n\n"))
    yield table("empty", "", refused=True)
    yield table("a header alone", csv(rows=[]), refused=True)
    yield table("no header", csv().partition("\n")[2], refused=True)
    yield table("a page", "<!DOCTYPE html><html><body>path,label</body></html>", refused=True)
    yield table("JSON lines", "".join(json.dumps({"file_name": a, "label": b}) + "\n" for a, b in ROWS),
                file="metadata.jsonl", refused=True)  # fmt: skip
    yield table("a comment above", "# made by hand\n" + csv())


def _encoded() -> Iterator[Case]:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        yield table(f"in {encoding}", csv().encode(encoding))
    yield table("in utf-16 without a mark", csv().encode("utf-16-le"), refused=True)
    strange = [("bolt/0.png", "caf\u00e9"), *ROWS[1:]]
    yield table("in Latin-1", csv(rows=strange).encode("latin-1"), refused=True)
    yield table("in utf-16, cut", csv().encode("utf-16")[:-1], refused=True)
    for name, place in (("header", 3), ("path", 20), ("label", 23)):
        text = csv()
        yield table(f"a NUL in a {name}", text[:place] + "\0" + text[place:], refused=True)
    yield table("zeros", bytes(4096), refused=True)
    yield table("16 MiB on a line", "path,label\n" + "x" * (17 << 20), refused=True)
    long = csv(header=("path", "label", "text"), rows=[(*row, f'"{"lines" * 9}\n{"of" * 9}\n"') for row in ROWS * 1500])
    yield table("24,000 rows with line breaks", long)
    yield table(
        "a cell of 1 MiB", csv(header=("path", "label", "text"), rows=[(*row, "x" * (1 << 20)) for row in ROWS])
    )


def _labelled(change: Callable[[str], str]) -> list[Sample]:
    return [Sample(sample.data, change(sample.label)) for sample in GOOD.values()]


def _rows() -> Iterator[Case]:
    yield table("labels with spaces round them", csv(rows=[(a, f"  {b} ") for a, b in ROWS]))
    numbers = {"bolt": "01", "nut": "1"}
    yield table("labels 01 and 1", csv(rows=[(a, numbers[b]) for a, b in ROWS]), _labelled(lambda b: numbers[b]))
    words = {"bolt": "NA", "nut": "true"}
    yield table("labels NA and true", csv(rows=[(a, words[b]) for a, b in ROWS]), _labelled(lambda b: words[b]))
    yield table("an empty label", csv(rows=[(ROWS[0][0], ""), *ROWS[1:]]), refused=True)
    yield table("an empty path", csv(rows=[("", "bolt"), *ROWS[1:]]), refused=True)
    yield table("a row twice", csv(rows=[*ROWS, ROWS[0]]))
    yield table("two labels for one file", csv(rows=[*ROWS, (ROWS[0][0], "nut")]), refused=True)
    yield table("the header again", csv(rows=[*ROWS[:3], ("path", "label"), *ROWS[3:]]))
    yield table("a row too short", csv(rows=[*ROWS, ("nut/0.png",)]), refused=True)
    yield table("a row too long", csv(rows=[*ROWS[:-1], (*ROWS[-1], "more", "and more")]), refused=True)
    yield table("a quotation mark that is not closed", csv() + '"nut/0.png,nut\n', refused=True)
    yield table("one class", csv(rows=[row for row in ROWS if row[1] == "bolt"]), GOOD_BOLTS, refused=True)
    hostile = {"bolt": "=cmd|'!A0", "nut": "<script>alert(1)<-script>"}
    yield table("hostile labels", csv(rows=[(a, hostile[b]) for a, b in ROWS]), _labelled(lambda b: hostile[b]))
    parts = [*ROWS[:6], *ROWS[8:14]], [*ROWS[6:8], *ROWS[14:]]
    rows = [(*row, "train") for row in parts[0]] + [(*row, "test") for row in parts[1]]
    split = [Sample(GOOD[path].data, label, None if part == "train" else part) for path, label, part in rows]
    yield table("splits", csv(header=("path", "label", "split"), rows=rows), split)
    strange = [(*row, "holdout") for row in ROWS]
    yield table("a split that is none", csv(header=("path", "label", "split"), rows=strange), refused=True)


GOOD_BOLTS = [sample for sample in GOOD.values() if sample.label == "bolt"]


def _paths() -> Iterator[Case]:
    yield table("backslashes", csv(rows=[(a.replace("/", "\\"), b) for a, b in ROWS]))
    yield table("./ before", csv(rows=[(f"./{a}", b) for a, b in ROWS]))
    for name in ("../params.yaml", "/etc/passwd", "https://example.org/x.png", "file:///etc/passwd", "~/x.png"):
        yield table(f"a path {name}", csv(rows=[*ROWS, (name, "nut")]), unread=1)
    yield table("a missing file", csv(rows=[*ROWS, ("nut/gone.png", "nut")]), unread=1)
    yield table("a folder for a file", csv(rows=[*ROWS, ("nut", "nut")]), unread=1)
    yield table("a path of 9,000 letters", csv(rows=[*ROWS, ("x" * 9000, "nut")]), unread=1)
    yield table("the table itself", csv(rows=[*ROWS, ("labels.csv", "nut")]), unread=1)

    def piped(project: Path) -> None:
        sets.choose(project, "table", max_bad_fraction=0.5)
        sets.write(project / "set", GOOD)
        os.mkfifo(project / "set/nut/pipe.png")
        (project / "set/nut/zero.png").symlink_to("/dev/zero")
        rows = [*ROWS, ("nut/pipe.png", "nut"), ("nut/zero.png", "nut")]
        (project / "set/labels.csv").write_text(csv(rows=rows), encoding="utf-8")

    yield Case("a pipe and a device for files", piped, sets.judged_by(GOOD.values(), unread=2))

    def pipe(project: Path) -> None:
        sets.choose(project, "table")
        sets.write(project / "set", GOOD)
        os.mkfifo(project / "set/labels.csv")

    yield Case("a pipe for a table", pipe, refused=True)


def _columns() -> Iterator[Case]:
    twice = csv(header=("path", "label", "label"), rows=[(*row, row[1]) for row in ROWS])
    yield table("label twice", twice)
    differ = csv(header=("path", "label", "label"), rows=[(*row, "nut") for row in ROWS])
    yield table("label twice, another one", differ, refused=True)
    yield table("path twice", csv(header=("path", "path", "label"), rows=[(a, a, b) for a, b in ROWS]))
    yield table("no label", csv(header=("path", "class_of"), rows=ROWS), refused=True)
    yield table("a column without a name", csv(header=("", "path", "label"), rows=[("0", *row) for row in ROWS]))
    yield table("2,000 columns", csv(header=("path", "label", *map(str, range(2000))),
                                     rows=[(*row, *["x"] * 2000) for row in ROWS]))  # fmt: skip
    quoted = csv(header=("path", "label", '"a ""name""\nof two lines"'), rows=[(*row, "x") for row in ROWS])
    yield table("a line break in a name", quoted)


def parquet(columns: dict[str, object]) -> bytes:
    """A table in Parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def _parquet_tables() -> Iterator[Case]:
    paths, labels = [row[0] for row in ROWS], [row[1] for row in ROWS]
    whole = parquet({"path": paths, "label": labels})
    yield table("paths in Parquet", whole, file="labels.parquet")
    for share in (0.1, 0.5, 0.9):
        yield table(f"Parquet cut at {share}", whole[: int(len(whole) * share)], file="labels.parquet", refused=True)
    yield table("Parquet with a null label", parquet({"path": paths, "label": [None, *labels[1:]]}),
                file="labels.parquet", refused=True)  # fmt: skip
    yield table("Parquet with lists for labels", parquet({"path": paths, "label": [[b] for b in labels]}),
                file="labels.parquet", refused=True)  # fmt: skip
    numbers = [9 if b == "bolt" else 10 for b in labels]
    lay_numbers = table("Parquet with numbers", parquet({"path": paths, "label": numbers}), file="labels.parquet")
    by_number = [Sample(sample.data, "9" if sample.label == "bolt" else "10") for sample in GOOD.values()]
    yield Case(lay_numbers.name, lay_numbers.lay, sets.judged_by(by_number, ["9", "10"]))
    two = {"path": paths, "label": labels}
    yield table("Parquet beside CSV", csv(), None, unread=0)
    yield table("text called .parquet", csv(), file="labels.parquet", refused=True)
    yield table("empty .parquet", b"", file="labels.parquet", refused=True)
    perhaps = [Sample(sample.data, sample.label, None, ()) for sample in GOOD.values()]
    yield table("a changed byte of a path in Parquet", _flip(parquet(two), 60), perhaps, file="labels.parquet")


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def _split_samples() -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for number, split in enumerate(("train",) * 5 + ("validation",) * 2 + ("test",) * 3):
        short = {"validation": "val"}.get(split, split)
        found[split] += [
            Sample(packed(picture(100 * number + label)), name, short) for label, name in enumerate(sets.CLASSES)
        ]
    return found


HUB = _split_samples()
EVERYTHING = [sample for samples in HUB.values() for sample in samples]


def shard(samples: Sequence[Sample], names: Sequence[str] = sets.CLASSES, **change: object) -> bytes:
    """A Parquet file as `datasets` writes it, with its ``ClassLabel``."""
    images = [{"bytes": sample.data, "path": f"{i}.png"} for i, sample in enumerate(samples)]
    labels = [names.index(sample.label) for sample in samples]
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    columns = {"image": pa.array(images), "label": pa.array(labels, pa.int64()), **change}
    held = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    pq.write_table(held, sink)
    return bytes(sink.getvalue())


def hub(
    name: str,
    files: dict[str, bytes],
    samples: Sequence[Sample] | None = None,
    *,
    refused: bool = False,
    **more: object,
) -> Case:
    """A set in the form of Hugging Face."""

    def lay(project: Path) -> None:
        sets.choose(project, "table", max_bad_fraction=0.5)
        for path, data in files.items():
            (project / "set" / path).parent.mkdir(parents=True, exist_ok=True)
            (project / "set" / path).write_bytes(data)

    names = more.get("names", sets.CLASSES)
    assert isinstance(names, tuple)
    right = sets.judged_by(EVERYTHING if samples is None else samples, names, int(str(more.get("unread", 0))))
    return Case(f"hub: {name}", lay, right, refused=refused)


def _hub() -> Iterator[Case]:
    layouts = {
        "data/train-00000-of-00001": "data/{}-00000-of-00001.parquet",
        "data/test/0000": "data/{}/0000.parquet",
        "converted": "default/{}/0000.parquet",
        "file names": "{}.parquet",
        "names in words": "my-{}-file.parquet",
        "upper case": "{}".upper() + ".parquet",
    }
    for name, form in layouts.items():
        yield hub(name, {form.format(split): shard(samples) for split, samples in HUB.items()})
    two = {
        f"data/{split}-0000{part}-of-00002.parquet": shard(samples[part::2])
        for split, samples in HUB.items()
        for part in range(2)
    }
    yield hub("two shards a split", two)
    yield hub(
        "a shard is missing", {path: data for path, data in two.items() if "test-00001" not in path}, refused=True
    )
    drawn = [Sample(sample.data, sample.label) for sample in EVERYTHING]
    yield hub("no splits", {"images.parquet": shard(EVERYTHING)}, drawn)
    order = ("nut", "bolt")
    reordered = {f"data/{s}-00000-of-00001.parquet": shard(samples, order) for s, samples in HUB.items()}
    yield hub("classes not in the alphabet's order", reordered, names=order)
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n" + "".join(
        f"  - split: {split}\n    path: odd{i}.parquet\n" for i, split in enumerate(HUB)
    )
    odd = {f"odd{i}.parquet": shard(samples) for i, samples in enumerate(HUB.values())}
    yield hub("splits by the card", {"README.md": f"{card}---\n".encode(), **odd})
    yield hub("a card that is no YAML", {"README.md": b"---\nconfigs: [[[\n---\n", **odd}, drawn)
    bomb = "---\na: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*{'a' if not i else f'b{i - 1}'}, *a]\n" for i in range(40))
    yield hub("a card of aliases", {"README.md": f"{bomb}---\n".encode(), **odd}, drawn)
    yield hub("a card of 3,000 brackets", {"README.md": b"---\nx: " + b"[" * 3000 + b"\n---\n", **odd}, drawn)
    yield hub("a further split", {**two, "data/extra-00000-of-00001.parquet": shard([EVERYTHING[0]])})
    configs = {f"{c}/{s}/0000.parquet": shard(samples) for c in ("one", "two") for s, samples in HUB.items()}
    yield hub("two configurations", configs, refused=True)


def _hub_damage() -> Iterator[Case]:
    whole = shard(EVERYTHING)
    drawn = [Sample(sample.data, sample.label) for sample in EVERYTHING]
    count = len(EVERYTHING)
    for share in (0.1, 0.5, 0.99):
        yield hub(f"cut at {share}", {"x.parquet": whole[: int(len(whole) * share)]}, refused=True)
    for name, column in (
        ("bytes that are text", pa.array([{"bytes": "text", "path": "x"}] * count)),
        ("bytes that are numbers", pa.array([{"bytes": 7, "path": "x"}] * count)),
        ("bytes that are lists", pa.array([{"bytes": [1, 2], "path": "x"}] * count)),
        ("images that are text", pa.array(["x.png"] * count)),
        ("images that are numbers", pa.array([1.5] * count)),
        ("images that are lists", pa.array([[1, 2]] * count)),
        ("images that are null", pa.array([None] * count, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("no bytes", pa.array([{"bytes": None, "path": "/etc/passwd"}] * count)),
    ):
        yield hub(name, {"x.parquet": shard(EVERYTHING, image=column)}, refused=True)
    for name, labels in (("beyond the names", [2] * count), ("below -1", [-2] * count), ("huge", [2**62] * count)):
        yield hub(f"labels {name}", {"x.parquet": shard(EVERYTHING, label=pa.array(labels))}, refused=True)
    one = [-1, *(sets.CLASSES.index(sample.label) for sample in EVERYTHING[1:])]
    yield hub("a label of -1", {"x.parquet": shard(EVERYTHING, label=pa.array(one))}, drawn[1:], unread=1)
    first = pa.array([{"bytes": None, "path": "a.png"}] + [{"bytes": s.data, "path": "x"} for s in EVERYTHING[1:]])
    yield hub("one image without bytes", {"x.parquet": shard(EVERYTHING, image=first)}, drawn[1:], unread=1)
    held = pa.table({"image": pa.array([sample.data for sample in EVERYTHING]), "label": [s.label for s in EVERYTHING]})
    sink = pa.BufferOutputStream()
    pq.write_table(held, sink)
    yield hub("plain bytes and words", {"x.parquet": bytes(sink.getvalue())}, drawn)
    broken = held.replace_schema_metadata({"huggingface": "[" * 100_000})
    sink = pa.BufferOutputStream()
    pq.write_table(broken, sink)
    yield hub("features of 100,000 brackets", {"x.parquet": bytes(sink.getvalue())}, drawn)
    perhaps = [Sample(sample.data, sample.label, None, ()) for sample in EVERYTHING]
    for place in (200, len(whole) // 2, len(whole) - 300, len(whole) - 40):
        yield hub(f"a changed byte at {place}", {"x.parquet": _flip(whole, place)}, perhaps)


if __name__ == "__main__":
    sys.exit(main("tables", cases, sets.base))
