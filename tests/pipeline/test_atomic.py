"""Outputs are the last good ones or the new ones."""

from pathlib import Path

import pytest

from pipeline.atomic import replacing, write_json


def test_files_and_folders_are_replaced_together(tmp_path: Path) -> None:
    folder, file = tmp_path / "out", tmp_path / "deep" / "figures.json"
    for content in ("old", "new"):
        with replacing(folder, file) as (new_folder, new_file):
            new_folder.mkdir()
            (new_folder / content).write_text(content)
            new_file.write_text(content)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert file.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "out"]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_last_good_outputs_and_no_rubbish(tmp_path: Path, fault: type[BaseException]) -> None:
    folder, file = tmp_path / "out", tmp_path / "figures.json"
    folder.mkdir()
    (folder / "good").write_text("good")
    file.write_text("good")

    def write() -> None:
        with replacing(folder, file) as (new_folder, new_file):
            new_folder.mkdir()
            (new_folder / "bad").write_text("bad")
            new_file.write_text("bad")
            raise fault

    with pytest.raises(fault):
        write()
    assert [path.name for path in folder.iterdir()] == ["good"]
    assert file.read_text() == "good"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_output_left_unwritten_replaces_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("good")

    def write() -> None:
        with replacing(first, second) as (new_first, _):
            new_first.write_text("bad")

    with pytest.raises(FileNotFoundError):
        write()
    assert first.read_text() == "good"


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".out.part"
    left.mkdir()
    (left / "half").write_text("half")
    with replacing(tmp_path / "out") as (out,):
        assert not out.exists()
        out.mkdir()
    assert list((tmp_path / "out").iterdir()) == []
    assert not left.exists()


def test_json_has_sorted_keys_and_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    write_json(path, {"b": 1, "a": [0.5, None]})
    assert path.read_text() == '{\n  "a": [\n    0.5,\n    null\n  ],\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
