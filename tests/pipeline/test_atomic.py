"""Outputs are the last good ones or the new ones, all of them, whatever ends a process and when."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.atomic import recover, remove, replacing, write_json
from pipeline.cli import main
from pipeline.errors import BusyError
from pipeline.workspace import Workspace
from tests.pipeline.killing import NEW, OLD, TARGETS, lay, lay_old, swap

REPOSITORY = Path(__file__).parents[2]


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_cannot_be_said_leaves_the_last_good_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("old")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(OSError, match="standard output") as error:
            swap_saying(tmp_path)
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what is still in its buffer
    assert error.value.errno == errno.ENOSPC
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "old")]
    monkeypatch.setattr("sys.stdout", None)  # closed: nobody wants to be told
    swap_saying(tmp_path)
    assert (tmp_path / "out").read_text() == "new"


def swap_saying(folder: Path) -> None:
    with replacing(folder / "out") as (out,):
        out.write_text("new")
        print("what was left out")


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


# Kills ---------------------------------------------------------------------------------------------------------------


def found(root: Path) -> dict[str, str]:
    """Every file of a project but those that are no output."""
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    texts = {name: path.read_text() for name, path in files.items() if not name.startswith(".ready/")}
    assert texts.pop("cache", "cache") == "cache", "written through a link"
    return texts


def kill_everywhere(folder: Path, *what: str) -> list[Path]:
    """Projects whose swap was killed, in the order of the kills; see :mod:`tests.pipeline.killing`."""
    subprocess.run([sys.executable, "-m", "tests.pipeline.killing", folder, *what], cwd=REPOSITORY, check=True)
    return sorted(folder.iterdir(), key=lambda path: int(path.name))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Projects after each kill. Copy them."""
    return kill_everywhere(tmp_path_factory.mktemp("killed"), "0")


def half_done(projects: list[Path]) -> list[Path]:
    """Those in which a kill left an output in nobody's place."""
    return [root for root in projects if list(root.glob("**/.*.old.part"))]


def a_failing_command(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(root)
    result = CliRunner().invoke(main, ["results"])
    assert result.exit_code == 2
    assert "not there; run `dvc repro classify` first" in result.stderr
    return result.stderr


@pytest.mark.parametrize("failing_move", [0, 5, 11])  # of eleven: four of the test's own, then two an old output
def test_a_kill_at_any_system_call_leaves_all_old_or_all_new_after_any_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_move: int
) -> None:
    projects, seen, between = kill_everywhere(tmp_path, str(failing_move)), [], 0
    assert len(projects) > 100, "the calls are not counted"
    for root in projects:
        between += found(root) not in (OLD, NEW)
        said = a_failing_command(root, monkeypatch)
        if found(root) not in seen:
            seen.append(found(root))
            assert ("finished what a killed run had begun" in said) == (len(seen) == 2)
    assert between > 10, "no kill came while there was something to put right"
    assert seen == [OLD, NEW]
    assert found(projects[-1]) == (OLD if failing_move else NEW)


def test_a_kill_while_things_are_put_right_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: list[Path]
) -> None:
    half = half_done(killed)
    assert len(half) > 10
    for state in (half[0], half[len(half) // 2], half[-1]):
        projects = kill_everywhere(tmp_path / state.name, "recover", str(state))
        assert len(projects) > 20
        for root in projects:
            a_failing_command(root, monkeypatch)
            assert found(root) == NEW


def test_what_a_fresh_process_says_and_does(tmp_path: Path, killed: list[Path]) -> None:
    root = shutil.copytree(half_done(killed)[0], tmp_path / "project", symlinks=True)
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", "train"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2
    assert "augmint: models: finished what a killed run had begun\n" in done.stderr
    assert "no ingested set here" in done.stderr or "params.yaml" in done.stderr
    assert found(root) == NEW


def test_a_swap_that_cannot_be_finished_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: list[Path]
) -> None:
    for state in half_done(killed)[:10]:
        root = shutil.copytree(state, tmp_path / state.name, symlinks=True)
        rename = os.rename

        def busy(source: Path, target: Path, rename: Callable[[Path, Path], None] = rename) -> None:
            if source.name == ".models.part":
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            rename(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", busy)
            a_failing_command(root, monkeypatch)
        assert found(root) == OLD


def test_a_project_that_was_moved_is_put_right_in_its_new_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: list[Path]
) -> None:
    root = shutil.copytree(half_done(killed)[1], tmp_path / "moved", symlinks=True)
    a_failing_command(root, monkeypatch)
    assert found(root) == NEW


def test_what_a_living_process_has_in_work_is_left_alone(tmp_path: Path) -> None:
    root = lay_old(tmp_path)
    with replacing(root / "data" / "store", root / "models") as (store, models):
        lay(store, {"a": "new"})
        assert recover(Workspace(root).places) == []
        busy = pytest.raises(BusyError, match=rf"another process is writing it \(PID {os.getpid()}\)")
        with busy, replacing(root / "data" / "store"):
            pass
        models.mkdir()
    assert found(root) == {name: text for name, text in OLD.items() if name == "metrics/ingest.json"} | {
        "data/store/a": "new"
    }


def test_the_journal_is_on_the_disk_before_anything_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay_old(tmp_path)
    names = {path.stat().st_ino: path.name for path in root.rglob("*")}
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(file: int) -> None:
        names.update({path.stat().st_ino: path.name for path in (root, *root.rglob("*"))})
        calls.append(names[os.fstat(file).st_ino])
        fsync(file)

    def renamed(source: Path, target: Path) -> None:
        calls.append("a move")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    swap(root)
    moves = [place for place, call in enumerate(calls) if call == "a move"][len(TARGETS) :]  # without the test's own
    first, last = moves[0], moves[-1] + 1
    assert calls[first - 1] == ".store.swap.part"
    assert {"a", "c", ".ingest.json.part", "x", "link", "data", "metrics", "plots"} < set(calls[:first])
    assert set(calls[last:]) == {"data", "metrics", "plots", root.name}


# What lies in the way ------------------------------------------------------------------------------------------------


def link_to_file(path: Path) -> Path:
    other = path.with_name("other")
    other.write_text("other")
    other.chmod(0o444)
    path.symlink_to(other)
    return other


def hard_link(path: Path) -> Path:
    other = path.with_name("other")
    other.write_text("other")
    other.chmod(0o444)
    path.hardlink_to(other)
    return other


def link_to_folder(path: Path) -> Path:
    other = path.with_name("folder") / "other"
    other.parent.mkdir()
    other.write_text("other")
    path.symlink_to(other.parent)
    return other


def link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def folder(path: Path) -> None:
    path.mkdir()
    (path / "x").write_text("other")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("lie", [link_to_file, hard_link, link_to_folder, link_to_nowhere, folder])
def test_nothing_is_written_through_a_link_or_stopped_by_another_kind(
    tmp_path: Path, lie: Callable[[Path], Path | None], new: str, several: bool
) -> None:
    target = tmp_path / "out"
    other = lie(target)
    with replacing(target, *([tmp_path / "second"] if several else [])) as (part, *rest):
        for each in (part, *rest):
            if new == "folder":
                each.mkdir()
                (each / "x").write_text("new")
            else:
                each.write_text("new")
    assert not target.is_symlink()
    assert (target / "x" if new == "folder" else target).read_text() == "new"
    assert other is None or other.read_text() == "other"
    assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_the_version_before_left_is_found(tmp_path: Path) -> None:
    lay(tmp_path, {".out.old.part/good": "good", ".out.part/new": "new"})

    def fail() -> None:
        with replacing(tmp_path / "out"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert found(tmp_path) == {"out/good": "good"}


@pytest.mark.parametrize("content", ["", "no journal", "w[1]", 'f{"outputs": 1}', 'f{"outputs": [1]}'])
def test_a_journal_that_is_none_stops_nothing(tmp_path: Path, content: str) -> None:
    lay(tmp_path, {"data/store/x": "old", "data/.store.swap.part": content})
    assert recover(Workspace(tmp_path).places) == []
    assert (tmp_path / "data" / ".store.swap.part").exists() == bool(content)  # an empty one is a killed run's
    with replacing(tmp_path / "data" / "store") as (part,):
        lay(part, {"x": "new"})
    assert found(tmp_path) == {"data/store/x": "new"}


def as_user(folder: Path, work: Callable[[], object]) -> None:
    """Does ``work`` in ``folder``, in a child whom permissions bind: root's it is not."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.chdir(folder)
            if os.geteuid() == 0:
                for place, folders, files in os.walk("."):
                    for name in (".", *folders, *files):
                        os.lchown(Path(place, name), 65534, 65534)
                os.setgid(65534)
                os.setuid(65534)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_read_only_output_is_replaced(tmp_path: Path) -> None:
    lay(tmp_path, {"out/a/b": "old", "out/c": "old"})
    for path in ("out/a", "out"):
        (tmp_path / path).chmod(0o555)

    def work() -> None:
        with replacing(Path("out")) as (part,):
            lay(part, {"a": "new"})

    as_user(tmp_path, work)
    assert found(tmp_path) == {"out/a": "new"}


def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    lay(tmp_path, {"metrics/quality.json": "old"})
    (tmp_path / "metrics").chmod(0o555)

    def work() -> None:
        refused = pytest.raises(PermissionError, match=r"metrics/\.quality\.json\.swap\.part")
        with refused, replacing(Path("metrics/quality.json")):
            pass
        assert recover([Path("metrics")]) == []

    as_user(tmp_path, work)
    assert found(tmp_path) == {"metrics/quality.json": "old"}


def test_remove_takes_files_links_and_folders_and_nothing(tmp_path: Path) -> None:
    lay(tmp_path, {"kept/x": "kept", "folder/x/y": "", "file": ""})
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("folder", "file", "link", "nothing"):
        remove(tmp_path / name)
    assert found(tmp_path) == {"kept/x": "kept"}
