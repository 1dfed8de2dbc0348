"""Tables of paths. The right values come from Python's csv module, from pandas, or stand in the test."""

import csv
import io
import os
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources import BadImageError, Source, open_source
from pipeline.sources.base import Listing
from pipeline.sources.tables.delimited import LONGEST
from pipeline.store import SPLITS

PLAIN = "path,label,split,group\nx/1.png,cat,train,p1\nx/2.png,01,VAL,p1\nx/3.png,NA,Dev,\nx/4.png,1,test,p2\n"


def opened(folder: Path) -> Source:
    return open_source(DataParams(source="table", path=str(folder)), Path("/"))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def write(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def rows(source: Source) -> dict[str, tuple[str, str | None, str]]:
    """Path to (class, split, group)."""
    listing = source.listing
    groups = listing.groups or [""] * len(listing)
    return {
        path: (listing.classes[label], SPLITS[split] if split >= 0 else None, group)
        for path, label, split, group in zip(
            listing.paths, listing.labels.tolist(), listing.splits.tolist(), groups, strict=True
        )
    }


def by_csv_module(text: str) -> dict[str, tuple[str, str | None, str]]:
    names = {"train": "train", "val": "val", "dev": "val", "test": "test", "": None}
    found = csv.DictReader(io.StringIO(text))
    return {row["path"]: (row["label"], names[row["split"].lower()], row["group"]) for row in found}


def delimited_by(mark: str) -> str:
    return PLAIN.replace(",", mark)


FORMS: dict[str, Callable[[], str | bytes]] = {
    "plain": lambda: PLAIN,
    "no line end at the end": lambda: PLAIN.rstrip("\n"),
    "byte order mark and CRLF": lambda: "\ufeff" + PLAIN.replace("\n", "\r\n") + "\r\n\r\n",
    "CR alone": lambda: PLAIN.replace("\n", "\r"),
    "blank lines": lambda: "\n\n" + PLAIN.replace("\n", "\n\n") + " \n",
    "UTF-16 with CRLF": lambda: PLAIN.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, big end first": lambda: ("\ufeff" + PLAIN).encode("utf-16-be"),
    "UTF-32": lambda: PLAIN.encode("utf-32"),
    "semicolons": lambda: delimited_by(";"),
    "tabs": lambda: delimited_by("\t"),
    "pipes": lambda: delimited_by("|"),
    "sep line": lambda: "sep=;\r\n" + delimited_by(";"),
    "sep line, of an odd mark": lambda: '"SEP=^"\n' + delimited_by("^"),
    "sep line of tabs in UTF-16": lambda: ("sep=\t\r\n" + delimited_by("\t")).encode("utf-16"),
    "header in capitals and spaces": lambda: PLAIN.replace("path,label,split", " Path , LABEL,\tsplit "),
    "header in quotation marks": lambda: PLAIN.replace("path,label", '"path","label"'),
    "everything in quotation marks": lambda: '"' + PLAIN.rstrip().replace(",", '","').replace("\n", '"\n"') + '"\n',
    "spaces after commas, and quotation marks": lambda: "".join(
        '"' + row.replace(",", '", "') + '"\n' for row in PLAIN.split()
    ),
    "spaces around cells": lambda: PLAIN.replace(",", " , "),
    "commas at the end": lambda: PLAIN.replace("\n", ",\n"),
    "commas at the end of rows alone": lambda: PLAIN.replace("1\n", "1,,\n").replace("2\n", "2,,\n"),
    "a spreadsheet's empty rows": lambda: PLAIN + ",,,\n,,,\n",
    "an index, as pandas writes it": lambda: PLAIN.replace("\n", "\n0,").replace("path", ",path", 1)[:-2],
    "cut after the last cell that counts": lambda: PLAIN.replace("group\n", "group,note\n"),
    "the same column twice": lambda: "\n".join(f"{row},{row}" for row in PLAIN.split()),
    "two files in a row": lambda: PLAIN[: PLAIN.index("x/3")] + "\ufeff" + PLAIN.replace("x/1.png,cat,train,p1\n", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_means_the_same_in_every_form_that_programs_write(form: str, tmp_path: Path) -> None:
    touch(tmp_path, *(f"x/{number}.png" for number in range(1, 5)))
    source = opened(write(tmp_path, FORMS[form]()))
    assert rows(source) == by_csv_module(PLAIN)
    assert source.listing.classes == ("01", "1", "NA", "cat")
    assert [read() for _, read in source.images()] == [f"x/{number}.png".encode() for number in range(1, 5)]


@pytest.mark.parametrize("name", ["labels.CSV", "Labels.Csv", "train.tsv", "TRAIN.TSV", "labels.txt"])
def test_the_suffix_says_little(name: str, tmp_path: Path) -> None:
    write(tmp_path, delimited_by("\t") if "ts" in name.lower() else PLAIN, name)
    assert rows(opened(tmp_path)) == by_csv_module(PLAIN)


@pytest.mark.parametrize("options", [{}, {"sep": ";", "quoting": csv.QUOTE_ALL}, {"sep": "\t", "encoding": "utf-16"}])
def test_any_text_that_pandas_writes_is_read_as_pandas_reads_it(options: dict[str, object], tmp_path: Path) -> None:
    rng = random.Random(0)
    words = ["NA", "null", "nan", "true", "1.0", "01", "1e3", "-0", 'a "b" c', "x;y", "x,y", "Käse", "猫", "=1+1", "#4"]
    frame = pd.DataFrame(
        {
            "note": [rng.choice(["", 'he said "no",\nand left', "a\r\nb", ";\t|", "'", '"']) for _ in range(300)],
            "path": [f"{rng.choice('ab')}/{number} {rng.choice(words)}.png".replace('"', "") for number in range(300)],
            "label": [rng.choice(words) for _ in range(300)],
        }
    )
    frame.to_csv(tmp_path / "labels.csv", index=False, **options)
    read_options = {key: value for key, value in options.items() if key != "quoting"}
    read = pd.read_csv(tmp_path / "labels.csv", dtype=str, keep_default_na=False, **read_options)
    found = opened(tmp_path)
    assert {path: label for path, (label, _, _) in rows(found).items()} == dict(
        zip(read["path"], read["label"], strict=True)
    )
    assert found.listing.classes == tuple(sorted(set(words)))


def test_line_breaks_in_quotation_marks_at_any_size(tmp_path: Path) -> None:
    count = 20_000
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "report"])
        for number in range(count):
            report = f"Finding {number}: nothing.\nImpression: normal, see {number}" * (3000 if number == 9 else 1)
            table.writerow([f"{number}.png", "ab"[number % 2], report])
    listing = opened(tmp_path).listing
    assert len(listing) == count
    assert dict(zip(listing.paths, listing.labels.tolist(), strict=True)) == {f"{n}.png": n % 2 for n in range(count)}


REFUSED = {
    "Latin-1": (
        PLAIN.replace("cat", "caf\xe9").encode("latin-1"),
        r"line 2, column 'label': the byte 0xE9 after 'caf'",
    ),
    "Latin-1, lines by CR": (
        PLAIN.replace("NA", "\xe9").replace("\n", "\r").encode("latin-1"),
        "line 4, column 'label'",
    ),
    "Latin-1 in the header": (PLAIN.replace("group", "gr\xfcp").encode("latin-1"), "line 1, column 'gr.p': .*0xFC"),
    "Latin-1 where a line begins": (b"path,label\na,x\n\xe9,y\n", "line 3, column 'path': the byte 0xE9 after ''"),
    "UTF-16 without its mark": (PLAIN.encode("utf-16-le"), "line 1 holds a NUL .* UTF-16"),
    "UTF-16 cut short": (PLAIN.encode("utf-16")[:-1], "UTF-16 and does not go on so"),
    "NUL": (PLAIN + "x/5\0.png,cat,,\n", "line 6 holds a NUL"),
    "no label after lines in quotation marks": ('path,label,n\na,x,"1\n2"\n\nb,,3\n', "line 5 has no label"),
    "label of spaces": ("path,label\na,x\nb,  \n", "line 3 has no label"),
    "no path": ("path,label\na,x\n ,y\n", "line 3 has no path"),
    "label with a line break": ('path,label\na,"x\ny"\n', r"line 2 the label 'x\\ny' holds a line break"),
    "comma too many": ("path,label\na,x\nb,c.png,y\n", "line 3 has 3 cells where the header has 2"),
    "comma too few": ("path,label,split\na,x,\nb,y\n", "line 3 has 2 cells where the header has 3"),
    "open quotation mark": ('path,label\na,x\nb,"y\nc,x\n', "line 3: not readable as CSV .*quotation marks"),
    "half-open quotation mark": ('path,label\na,"x"y\n', "line 2: not readable as CSV"),
    "open quotation mark in the header": ('"path,label\na,x\n', "line 1: not readable as CSV"),
    "column twice": ("path,label,Label\na,x,x\nb,x,y\n", "line 3 has 'x' and 'y' in its 2 columns 'label'"),
    "two labels": ("path,label\na,x\nb,y\na,y\n", "line 4: 'a' has the label 'y' here and 'x' in line 2"),
    "two labels by two spellings": ("path,label\nd/a,x\nb,y\n./d//a,y\n", "line 4: 'd/a' has the label 'y'"),
    "two splits": ("path,label,split\na,x,train\nb,y,\na,x,test\n", "the split 'test' here and 'train' in line 2"),
    "two groups": ("path,label,group\na,x,p\nb,y,\na,x,q\n", "the group 'q' here and 'p' in line 2"),
    "unknown split": ("path,label,split\na,x,train\nb,y,holdout\n", "line 3: split 'holdout'; expected train"),
    "address": ("path,label\nhttps://example.org/a.png,x\n", "line 2: https://example.org/a.png is an address"),
    "bucket": ("path,label\ns3://bucket/a.png,x\n", "line 2: s3://.*download the images first"),
    "absolute": ("path,label\n/data/a.png,x\n", "line 2: /data/a.png lies outside"),
    "drive": ("path,label\nC:\\data\\a.png,x\n", "line 2: .*lies outside"),
    "above": ("path,label\na,x\n..\\a.png,x\n", "line 3: .*lies outside"),
    "no header": ("a.png,x\nb.png,y\n", r"no column 'path' \(found: a.png, x\).*first line"),
    "other names": ("filename,class\na,x\n", "no column 'path' .*rename 'filename' to 'path'"),
    "other name of the label": ("path,Category\na,x\n", "no column 'label' .*rename 'Category' to 'label'"),
    "nothing": ("", "the table is empty"),
    "header alone": ("path,label\n", "the table has no rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plain_is_one_sentence_with_its_place(case: str, tmp_path: Path) -> None:
    content, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as caught:
        opened(write(tmp_path, content))
    assert str(tmp_path / "labels.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_lines_is_not_read_into_memory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 2 has over"):
        opened(write(tmp_path, "path,label\n" + "a" * (LONGEST + 1)))


def test_rows_given_twice_are_counted(tmp_path: Path) -> None:
    source = opened(write(tmp_path, PLAIN + "\n".join(PLAIN.split("\n")[1:3]) + "\n./x/1.png,cat,train,p1\n,,,\n"))
    assert rows(source) == by_csv_module(PLAIN)
    assert source.listing.ignored == {"rows given twice": 3, "empty rows of the table": 1}


def labelled(folder: Path, labels: list[str]) -> Listing:
    """What is read of a table of images that are called ``0``, ``1`` and so on."""
    write(folder, "path,label\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels)))
    return opened(folder).listing


def test_labels_that_differ_in_spaces_or_unicode_form_are_one_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["Käse", unicodedata.normalize("NFD", "Käse"), "Käse ", "dog", "Dog"]
    listing = labelled(tmp_path, labels)
    assert listing.classes == ("Dog", "Käse", "dog")
    assert listing.labels.tolist() == [1, 1, 1, 2, 0]
    said = capsys.readouterr().err
    assert "2 labels 'Käse'" in said and "'Dog', 'dog' are 2 classes" in said


def test_labels_that_differ_in_signs_that_nobody_sees_are_one_or_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["cat", "cat\u200b", "\ufeffcat", "co\u00adat", "coat"]
    listing = labelled(tmp_path, labels)
    assert listing.classes == ("cat", "coat", "co\u00adat")
    assert listing.labels.tolist() == [0, 0, 0, 2, 1]
    said = capsys.readouterr().err
    assert "2 labels 'cat'" in said and "'coat', 'co\\xadat' are 2 classes" in said


@pytest.mark.parametrize(
    ("column", "role"), [("Patient_ID", "group"), ("lesion_id", "group"), ("fold", "split"), ("is_test", "split")]
)
def test_a_column_that_may_part_or_join_images_is_said_not_to_be_read(
    column: str, role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(write(tmp_path, f"path,label,{column}\n1.png,a,1\n2.png,b,1\n"))
    assert f"the column {column!r} is not read; call it {role!r} if" in capsys.readouterr().err
    opened(write(tmp_path, f"path,label,{column},{role}\n1.png,a,1,\n2.png,b,1,\n"))
    assert "is not read" not in capsys.readouterr().err


def test_images_that_no_row_names_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "x/2.PNG", "x/é.png", "x/y/4.jpg", "5.webp", "notes.txt", ".hidden.png", ".git/6.png")
    listing = opened(
        write(tmp_path, "path,label\n./1.png,a\nx\\2.PNG,b\n" + unicodedata.normalize("NFD", "x/é.png,a\n"))
    ).listing
    assert listing.paths == ["1.png", "x/2.PNG", "x/é.png"]
    assert listing.ignored == {"images that the table does not name": 2}


def test_labels_that_may_mean_none_are_classes_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["cat", "nan", "NA", "NaN", "nan ", "none", "null"]
    assert labelled(tmp_path, labels).classes == ("NA", "NaN", "cat", "nan", "none", "null")
    said = capsys.readouterr().err
    for count, name in ((2, "nan"), (1, "NaN"), (1, "null")):
        assert f"{count} rows have the label {name!r}" in said
    assert "'NA', a class" not in said and "'none', a class" not in said


def test_file_name_is_read_as_path_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = opened(write(tmp_path, "file_name,label,subset\n1.png,a,train\n2.png,b,test\n", "metadata.csv")).listing
    assert listing.paths == ["1.png", "2.png"]
    said = capsys.readouterr().err
    assert "'file_name' is read as 'path'" in said and "'subset' is not read" in said


def test_a_path_means_the_file_that_is_there(tmp_path: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "é/ü.png"), unicodedata.normalize("NFD", "é/ü.png")
    names = ["b/1.png", "b\\2.png", apart, "c/ 4.png"]
    touch(tmp_path, *names)
    table = f'path,label\nb\\1.png,x\nb\\2.png,x\n{composed},y\n".//c/ 4.png ",y\n'
    source = opened(write(tmp_path, table))
    assert sorted(read() for _, read in source.images()) == sorted(name.encode() for name in names)
    assert set(source.listing.paths) == set(names)


def test_a_missing_file_is_one_bad_image_with_a_guess(tmp_path: Path) -> None:
    touch(tmp_path, "Img/A.PNG", "b.png", "7.jpg")
    own = f"{tmp_path.name}/b.png"
    source = opened(write(tmp_path, f"path,label\nimg/a.png,x\nb.png,x\n7,y\n{own},y\nz.png,y\n"))
    said = {}
    for index, read in source.images():
        try:
            assert read() == b"b.png"
        except BadImageError as error:
            said[source.listing.paths[index]] = (error.reason, str(error).removeprefix("no such file").strip(": "))
    assert said == {
        "7": ("no such file", "did you mean 7.jpg?"),
        "img/a.png": ("no such file", "did you mean Img/A.PNG?"),
        own: ("no such file", "did you mean b.png?"),
        "z.png": ("no such file", ""),
    }


def test_if_no_file_is_there_the_folder_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "A.png")
    source = opened(write(tmp_path, "path,label\na.png,x\nb.png,y\n"))
    with pytest.raises(UserError, match=rf"none of its 2 files .*a\.png' \(did you mean A\.png\?\).*{tmp_path}"):
        next(source.images())


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "other.csv")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "null.png").symlink_to("/dev/zero")
    source = opened(write(tmp_path, "path,label\na.png,x\npipe.png,y\nfolder.png,y\nnull.png,x\n"))
    assert source.listing.ignored == {"not a regular file": 1}
    read = dict(source.images())
    assert read[0]() == b"a.png"
    for index in (1, 2, 3):
        with pytest.raises(BadImageError, match="not a regular file"):
            read[index]()


def test_one_table_of_several_is_the_set(tmp_path: Path) -> None:
    write(tmp_path, "id,score\n1,2\n", "stats.csv")
    write(tmp_path, b"\xff\xfe\0", "._labels.csv")
    write(tmp_path, b"\x80\x81", "scan.csv")
    source = opened(write(tmp_path, PLAIN))
    assert rows(source) == by_csv_module(PLAIN)
    assert source.listing.ignored == {"hidden": 1, "tables without path and label": 2}
    write(tmp_path, PLAIN, "more.tsv")
    with pytest.raises(UserError, match=r"2 tables of paths here \(labels\.csv, more\.tsv\).*column 'split'"):
        opened(tmp_path)


def test_a_table_elsewhere_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "train/metadata.jsonl")
    with pytest.raises(UserError, match=r"no \.csv in this folder .*train/metadata\.jsonl"):
        opened(tmp_path)


def parquet(folder: Path, columns: list[tuple[str, pa.Array]]) -> Path:
    names, values = zip(*columns, strict=True)
    pq.write_table(pa.Table.from_arrays(list(values), names=list(names)), folder / "table.parquet")
    return folder


PATHS = ("path", pa.array([f"{number}.png" for number in range(12)]))


def test_parquet_of_words_in_every_layout(tmp_path: Path) -> None:
    words = [f"c{number % 3}" for number in range(12)]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        listing = opened(parquet(tmp_path, [PATHS, ("label", pa.array(words).cast(kind))])).listing
        assert dict(zip(listing.paths, [listing.classes[k] for k in listing.labels], strict=True)) == dict(
            zip(PATHS[1].to_pylist(), words, strict=True)
        )


def test_whole_numbers_in_parquet_sort_as_numbers(tmp_path: Path) -> None:
    falling = pa.array(list(range(11, -1, -1)))
    for labels in (falling, falling.cast(pa.uint8()), falling.dictionary_encode()):
        listing = opened(parquet(tmp_path, [PATHS, ("label", labels), ("label", labels)])).listing
        assert listing.classes == tuple(map(str, range(12)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([PATHS, ("label", pa.array(["a"] * 7 + [None] + ["b"] * 4))], "row 8 has no label"),
        ([PATHS, ("label", pa.nulls(12))], "row 1 has no label"),
        ([PATHS, ("label", pa.array([["a"]] * 12))], "'label' is list.*text or whole numbers"),
        ([PATHS, ("label", pa.array([1.0] * 12))], "'label' is double"),
        ([PATHS, ("label", pa.array(["a"] * 12)), ("label", pa.array(["b"] * 12))], "row 1 has 'a' and 'b'"),
        ([PATHS, PATHS, ("label", pa.array(["a"] * 12))], "one class at most"),
        ([("path", pa.array(["a\0b"])), ("label", pa.array(["a"]))], "one class at most"),
        ([PATHS], "no column 'label'"),
    ],
)
def test_parquet_that_is_no_table_of_paths(columns: list[tuple[str, pa.Array]], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        opened(parquet(tmp_path, columns))


def test_damaged_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, [PATHS, ("label", pa.array(list("abcdefghijkl")))]) / "table.parquet"
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[:-9], whole[:4] + bytes(40) + whole[44:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"table\.parquet: not readable as Parquet .*write or fetch it again"):
            opened(tmp_path)
