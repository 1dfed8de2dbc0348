"""Whatever lies where ``params.yaml`` should: one sentence with the line and an end at once, or the right values."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from annotated_types import Le, Lt
from pydantic import BaseModel

from pipeline.errors import UserError
from pipeline.flows import dvc
from pipeline.params import Params, load_params, locate
from pipeline.plain_yaml import MOST_BYTES

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_dvc_does_not_see_it_before_we_do(tmp_path: Path) -> None:
    """It would take hours for this: see :mod:`pipeline.flows.dvc`."""
    (tmp_path / "params.yaml").write_text(LAUGHS, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: 'true'}}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml:1: anchors and aliases"):
        dvc.stages(tmp_path)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(path), "params.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LAUGHS, "params.yaml:1: anchors and aliases (&a) are not taken"),
        ("seed: 1\ntrain: *nothing\n", "params.yaml:2: anchors and aliases (*nothing)"),
        ("train: &t {kimg: 1}\nclassify:\n  <<: *t\n", "params.yaml:1: anchors"),
        ("seed: 1\ntrain:\n  <<: {kimg: 1}\n", "params.yaml:3: merged keys (<<)"),
        ("data: &self {path: *self}\n", "params.yaml:1: anchors"),
        ("train:\n  augment: " + "[" * 3000 + "]" * 3000, "params.yaml:2: nested more than 16 deep"),
        ("seed: 1\n" + "- " * 500, "params.yaml:2: not valid YAML"),
        ("seed: 1\ntrain:\n" + "\n".join(f"{'  ' * n}a:" for n in range(1, 40)), "params.yaml:18: nested"),
        ("{" * 200_000, "params.yaml:1: nested"),
        (
            "seed: 1\nexport: !!python/object/apply:os.system ['echo']\n",
            "params.yaml:2: tags (tag:yaml.org,2002",
        ),
        ("seed: !!int 3\n", "params.yaml:1: tags"),
        ("seed: ! 3\n", "params.yaml:1: tags"),
        ("train: !mine {kimg: 3}\n", "params.yaml:1: tags (!mine)"),
        ("%YAML 1.1\n---\nseed: 1\n", "params.yaml:2: directives"),
        ("seed: 1\n---\nseed: 2\n", "params.yaml:2: a second document"),
        ("seed: 1\n...\n---\n", "params.yaml:3: a second document"),
        ("seed: 1\ntrain:\n\tkimg: 3\n", "params.yaml:3: not valid YAML"),
        ("seed: 1\ntrain:\n  kimg: 3\x00\n", "params.yaml:3: not valid YAML: the character U+0000"),
        ('seed: 1\ndata:\n  path: "set\\0"\n', "params.yaml:3: a NUL in a value"),
        ("seed: 1\n\x1b[31mtrain: 1\n", "params.yaml:2: not valid YAML: the character U+001B"),
        ("seed: 1\nseed: 2\n", "params.yaml:2: not valid YAML: found duplicate key"),
        ("train: {kimg: 1,\n  kimg: 2}\n", "params.yaml:2: not valid YAML: found duplicate key"),
        ("seed: 1\ntrain:\n  kimg: " + "9" * 5000, "params.yaml:3: a value of more than 1024 characters"),
        ("seed: " + "9" * 1000, "params.yaml:1: seed: input should be less than 4294967296 (got 999"),
        ("seed: 0x" + "f" * 1000, "params.yaml:1: seed: input should be less than 4294967296"),
        ("train:\n  kimg: " + "9" * 1000, "params.yaml:2: train.kimg: input should be"),
        ("train:\n  kimg: 1" + "0" * 400 + ".0", "params.yaml:2: train.kimg: input should be a finite number"),
        ("data:\n  path: " + "x" * 2000, "params.yaml:2: a value of more than 1024"),
        ("y" * 2000 + ": 1\n", "params.yaml:1: "),
        ("seed: 1\ndata:\n  path: |\n" + "    line\n" * 500, "params.yaml:3: a value of more than 1024"),
        ("seed: 1\ntrain:\n  kimg: 2001-99-99\n", "params.yaml:3: not valid YAML: month must be in 1..12"),
        (
            "train:\n  kimg: 2001-01-01\n",
            "params.yaml:2: train.kimg: input should be a valid number",
        ),
        ("seed: =\n", "params.yaml:1: seed: input should be a valid integer"),
        ("1: 2\n", "params.yaml:1: 1: unknown key; did you mean `"),
        ("seed: 1\n? null\n: 2\n", "params.yaml:2: the key None is no text"),
        ("export:\n  classes:\n    1.5: 3\n", "params.yaml:3: the key 1.5 is no text"),
        ("export:\n  classes:\n    true: 3\n", "params.yaml:3: the key True is no text"),
        ("seed: 1\n? [a, b]\n: 2\n", "params.yaml:2: the key"),
        ("seed: 1\n{a: 1}: 2\n", "params.yaml:2: "),
        ("", "params.yaml:1: expected groups"),
        ("# nothing\n", "params.yaml:1: expected groups"),
        ("null\n", "params.yaml:1: expected groups"),
        ("- data\n- train\n", "params.yaml:1: expected groups"),
        ("just words\n", "params.yaml:1: expected groups"),
        ("data: 3\n", "params.yaml:1: data: expected further keys below it"),
        ("data: null\n", "params.yaml:1: data: expected further keys below it"),
        ("train: [kimg, 3]\n", "params.yaml:1: train: expected further keys below it"),
        ("train: {kimg: {kimg: {kimg: 1}}}\n", "params.yaml:1: train.kimg: input should be"),
        ("#" * (MOST_BYTES + 1), "larger than 256 KiB"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_no_plain_file_is_one_sentence_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8", newline="")
    text = refusal(path)
    assert said in text
    assert len(text.splitlines()) == 1
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed: 1\n".encode("utf-16"), "params.yaml:1: not UTF-8"),
        ("seed: 1\n".encode("utf-32-be"), "params.yaml:1: not valid YAML: the character U+0000"),
        ("seed: 1\ndata:\n  path: Käse\n".encode("latin-1"), "params.yaml:3: not UTF-8"),
        (b"seed: 1\n\xff\xfe\n", "params.yaml:2: not UTF-8"),
        (b"seed: 1\npath: \xed\xa0\x80\n", "params.yaml:2: not UTF-8"),
        (bytes(range(256)), "params.yaml:"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert said in refusal(path)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfseed: 7\n", b"seed: 7\r\ntrain:\r\n  kimg: 20\r\n", b"---\nseed: 7\n...\n", b"seed: 7"]
)
def test_a_mark_of_utf8_and_other_ends_of_lines_are_fine(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert load_params(path).seed == 7


def test_classes_may_have_any_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\nexport:\n  classes: {Käse: 3, 7: 2.0, '<<': 1, 'null': max, y: 1}\n", encoding="utf-8")
    assert load_params(path).export.classes == {"Käse": 3, "7": 2.0, "<<": 1, "null": "max", "y": 1}
    assert locate(path, "export", "classes", "7") == f"{path}:3"
    assert locate(path, "export", "nothing") == f"{path}:2"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    folder, pipe, loop = (tmp_path / name for name in ("folder", "pipe", "loop"))
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path in (folder, pipe, Path(os.devnull)):
        assert "not a regular file" in refusal(path)
    assert "cannot be read" in refusal(loop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.touch(0o000)
    assert "cannot be read (Permission denied)" in refusal(path)


def test_of_many_problems_the_first_are_told(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train:\n" + "".join(f"  key{n}: 1\n" for n in range(3000)), encoding="utf-8")
    lines = refusal(path).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "params.yaml: and 2980 more"


def numbers(model: type[BaseModel], *above: str) -> Iterator[tuple[str, type, list[Any]]]:
    """Dotted name, type and bounds of every number in the models, lists and unions included."""

    def inside(annotation: Any, bounds: list[Any], name: str) -> Iterator[tuple[str, type, list[Any]]]:
        if get_origin(annotation) is Annotated:
            base, *more = get_args(annotation)
            yield from inside(base, [*bounds, *(m for field in more for m in getattr(field, "metadata", []))], name)
        elif annotation in (int, float):
            yield name, annotation, bounds
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from numbers(annotation, name)
        else:
            for part in get_args(annotation):
                yield from inside(part, bounds, name)

    for key, field in model.model_fields.items():
        yield from inside(field.annotation, list(field.metadata), ".".join((*above, key)))


def test_every_number_has_an_upper_bound() -> None:
    found = list(numbers(Params))
    assert len(found) > 60
    assert [name for name, _, bounds in found if not any(isinstance(bound, Le | Lt) for bound in bounds)] == []


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999"])
def test_no_number_is_infinite_or_none(tmp_path: Path, value: str) -> None:
    path = tmp_path / "params.yaml"
    for name in sorted({name for name, kind, _ in numbers(Params) if kind is float}):
        *groups, key = name.split(".")
        written = {"doses": f"[{value}]", "tuning": f"[[{value}, 0.1]]", "confidence": f"[{value}, 0.9]"}.get(
            key, value
        )
        lines = [f"{'  ' * depth}{group}:" for depth, group in enumerate([*groups, key])]
        path.write_text("\n".join(lines) + f" {written}\n", encoding="utf-8")
        assert name in refusal(path), name


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("train", "batch_size", 10**9),
        ("classify", "batch_size", 10**9),
        ("classify", "steps", 10**9),
        ("classify", "bootstrap", 10**9),
        ("classify", "seeds", 10**6),
        ("evaluate", "samples", 10**9),
        ("evaluate", "repeats", 10**9),
        ("evaluate", "embedder_steps", 10**9),
        ("export", "balance", 10**12),
        ("train", "snapshot_kimg", 1e-300),
        ("train", "grid_kimg", 1e-300),
        ("train", "kimg", 1e12),
    ],
)
def test_a_slip_of_the_keyboard_cannot_exhaust_the_machine(tmp_path: Path, group: str, key: str, value: float) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"{group}:\n  {key}: {value!r}\n", encoding="utf-8")
    assert f"params.yaml:2: {group}.{key}: input should be" in refusal(path)
