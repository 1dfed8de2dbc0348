"""Folders as they are found on a disk: links, pipes, sockets, and what may not be read."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.sources.base import BadImageError, read_file
from pipeline.sources.files import FolderSource
from pipeline.sources.walk import BACK, NOWHERE, SPECIAL, TWICE, walk


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def in_time(work: Callable[[], object]) -> object:
    """What ``work`` gives; a pipe that is waited on fails the test and does not hang it."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert results, "it waits for ever"
    return results[0]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "b" / "pipe")
    (tmp_path / "b" / "null.png").symlink_to("/dev/zero")
    home = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)  # the path of a socket has to be short
        try:
            server.bind("a/socket.png")
        finally:
            os.chdir(home)
        source = in_time(lambda: FolderSource(tmp_path))
    assert isinstance(source, FolderSource)
    assert source.listing.paths == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert source.listing.ignored == {SPECIAL: 4}


def test_a_file_that_became_a_pipe_is_one_bad_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")

    def reason() -> str:
        with pytest.raises(BadImageError) as error:
            read_file(tmp_path / "x.png")
        return error.value.reason

    assert in_time(reason) == "not a regular file"


def test_links_are_followed_but_not_round_and_round(tmp_path: Path) -> None:
    root = write(tmp_path, "set/a/1.png", "elsewhere/2.png", "elsewhere/deep/3.png") / "set"
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "above").symlink_to(tmp_path)
    (root / "a" / "self").symlink_to("self")
    (root / "a" / "gone.png").symlink_to("nowhere.png")
    (root / "a" / "file.png").symlink_to("1.png")
    found = walk(root)
    assert sorted(found.files) == ["a/1.png", "a/file.png", "b/2.png", "b/deep/3.png"]
    assert sorted(found.lost) == [("a/gone.png", NOWHERE), ("a/self", NOWHERE)]
    assert found.passed == {BACK: 2}


def test_a_link_does_not_take_what_lies_in_its_own_place(tmp_path: Path) -> None:
    """A link that sorts first used to hold the images, and the class itself was empty."""
    write(tmp_path, "b/1.png", "z/1.png", "z/deep/1.png")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "b" / "more").symlink_to("../z/deep")
    found = walk(tmp_path)
    assert sorted(found.files) == ["b/1.png", "z/1.png", "z/deep/1.png"]
    assert found.passed == {TWICE: 2}


def test_of_links_to_one_folder_the_first_by_name_is_followed(tmp_path: Path) -> None:
    root = write(tmp_path, "elsewhere/1.png", "set/x.png") / "set"
    for name in "ecbafd":
        (root / name).symlink_to("../elsewhere")
    found = walk(root)
    assert sorted(found.files) == ["a/1.png", "x.png"]
    assert found.passed == {TWICE: 5}


def test_folders_that_link_to_one_another_end(tmp_path: Path) -> None:
    names = [f"f{index:02d}" for index in range(20)]
    for name in names:
        write(tmp_path, f"{name}/x.png")
        for other in names:
            (tmp_path / name / other).symlink_to(f"../{other}")
    found = walk(tmp_path)
    assert len(found.files) == 20
    assert found.passed.total() == 400


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/1.png", "b/1.png", "lost+found/1")
    true_scan = os.scandir

    def scandir(path: Path) -> object:
        if path.name in refused:
            raise PermissionError(13, "Permission denied")
        return true_scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused = ["lost+found"]
    assert walk(tmp_path).passed == {"hidden and not readable": 1}
    refused = ["b"]
    with pytest.raises(UserError, match=rf"{tmp_path}/b: this folder cannot be read \(Permission denied\)"):
        walk(tmp_path)


def test_empty_folders(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png")
    (tmp_path / "x" / "y").mkdir(parents=True)
    assert walk(tmp_path).empty == ["x/y"]


def test_a_file_that_became_a_pipe_after_the_look_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file of the kernel's that is called a regular one and gives nothing."""
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, "file")
    regular = (tmp_path / "file").stat()
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    monkeypatch.setattr(os, "stat", lambda *args, **kw: regular)

    def said() -> str:
        try:
            return str(read_file(tmp_path / "pipe"))
        except BadImageError as error:
            return str(error)

    assert in_time(said) == "cannot be read: it gives nothing"
    os.close(writer)
