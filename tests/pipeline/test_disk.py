"""A disk that is full is said in one sentence, exit code 75; what was there stays, and the run goes on later."""

import errno
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gan.checkpoint import load_state, save_state
from pipeline import cli, disk
from pipeline.cli import stages
from pipeline.disk import save_array, write_at, write_blocks
from pipeline.errors import BusyError, as_user_error
from pipeline.formats.base import Item
from pipeline.formats.encoding import Encoding, encode
from pipeline.formats.imagefolder import ImageFolderWriter
from pipeline.ingest.decode import Target
from pipeline.ingest.reading import Pixels
from pipeline.workspace import Workspace
from tests.pipeline.full_disk import NO_PERMISSION, OUTPUTS, ROOM

FULL = Path("/dev/full")  # takes nothing: the system's own full disk
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")

# The five stages, on a real disk -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What :mod:`tests.pipeline.full_disk` prints."""
    if shutil.which("unshare") is None:
        pytest.skip("mounting a small disk takes `unshare`")
    folder = tmp_path_factory.mktemp("small")
    command = ["unshare", "-rm", sys.executable, "-m", "tests.pipeline.full_disk", str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    if done.returncode == NO_PERMISSION or done.stderr.startswith("unshare:"):
        pytest.skip(f"a small disk may not be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_stage_on_a_full_disk_says_so_keeps_what_was_there_and_goes_on(
    trials: dict[str, list[dict[str, Any]]], stage: str
) -> None:
    *full, enough = trials[stage]
    assert len(full) == len(ROOM)
    for result in full:
        assert result["code"] == BusyError.exit_code, result
        (said,) = result["said"]
        assert said.startswith("augmint: no space left on device: ")
        assert "run the same command again" in said
        assert result["kept"]
    assert enough["code"] == 0, enough
    assert not enough["kept"]


# What writes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array", [np.arange(12).reshape(3, 4), np.zeros((0, 2), np.uint8), np.ones((2, 3), np.float32)]
)
def test_what_is_saved_is_what_numpy_would_have_saved(tmp_path: Path, array: np.ndarray) -> None:
    save_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "numpys.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()


def test_blocks_follow_one_another_and_must_be_as_many_as_was_said(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 1, 4, 4), np.uint8)
    write_blocks(tmp_path / "a.npy", [images[:3].transpose(0, 1, 3, 2), images[3:]], (7, 1, 4, 4))
    read = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert np.array_equal(read, np.concatenate([images[:3].transpose(0, 1, 3, 2), images[3:]]))
    for blocks in ([images[:6]], [images[:, :, :2]], [images.astype(np.int64)]):
        with pytest.raises(ValueError, match="images"):
            write_blocks(tmp_path / "a.npy", blocks, (7, 1, 4, 4))


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_room_that_is_not_there_is_known_before_the_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocks() -> Any:
        pytest.fail("work was done in vain")
        yield

    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    with pytest.raises(OSError, match=r"a\.npy") as refused:
        write_blocks(tmp_path / "a.npy", blocks(), (7, 4))
    assert refused.value.errno == errno.ENOSPC


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_where_room_cannot_be_taken_first_it_is_taken_by_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", failing(number))
    save_array(tmp_path / "a.npy", np.arange(5))
    assert np.load(tmp_path / "a.npy").tolist() == [0, 1, 2, 3, 4]


@needs_full
def test_an_array_that_the_disk_does_not_take_is_an_error_with_number_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_take_room", lambda file, size: None)
    (tmp_path / "full.npy").symlink_to(FULL)
    for size in (3, 100_000):  # the first is written when the file is closed
        with pytest.raises(OSError, match=r"full\.npy") as refused:
            save_array(tmp_path / "full.npy", np.zeros(size))
        assert refused.value.errno == errno.ENOSPC


def a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system does when the rest does not fit: it writes a part, and says how much."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, bytes(data)[:5], offset))


def test_what_the_system_takes_in_parts_is_written_in_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_little_at_a_time(monkeypatch)
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8), np.uint8)
    with Pixels(tmp_path / "pixels", 2, Target(8, "RGB", "crop")) as pixels:
        for row in range(2):
            pixels.write(row, images[row])
        assert np.array_equal(pixels.read(np.arange(2), np.zeros(2, bool), 3), images)
    item = Item("x", "train", 0, encode(images[0], Encoding()))
    writer = ImageFolderWriter(tmp_path / "set", ["a"], ["train"], "png")
    (written,) = writer.write_part(0, [item])
    monkeypatch.undo()
    whole = ImageFolderWriter(tmp_path / "whole", ["a"], ["train"], "png")
    whole.write_part(0, [item])
    assert (tmp_path / "set" / written.file).read_bytes() == (tmp_path / "whole" / written.file).read_bytes()


@needs_full
def test_a_part_that_fits_no_more_is_an_error() -> None:
    with FULL.open("wb", buffering=0) as file, pytest.raises(OSError, match=r"\[Errno 28\]"):
        write_at(file.fileno(), b"some", 0)


def test_a_state_that_the_disk_does_not_take_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.ones(3)}, "key")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # safetensors words this as it does a full disk
    try:
        with pytest.raises(OSError, match=r"File too large.*state\.part") as refused:
            save_state(path, {"a": torch.zeros(100_000)}, "key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.errno == errno.EFBIG
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    state = load_state(path, "key", pytest.fail)
    assert state is not None and state["a"].tolist() == [1, 1, 1]


# What is said --------------------------------------------------------------------------------------------------------

COPYING = shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "x", "models/a"), 75, "no space left on device: models/a; free some space"),
        (OSError(errno.ENOSPC, "x", "from", None, "to"), 75, "no space left on device: to; free"),
        (OSError(errno.EDQUOT, "x", "a"), 75, "quota exceeded: a; free"),
        (OSError(errno.ENOSPC, "x"), 75, f"no space left on device: the disk of {Path.cwd()}; free"),
        (COPYING, 75, "no space left on device: the disk of"),
        (pickle.loads(pickle.dumps(OSError(errno.ENOSPC, "x", "a"))), 75, "no space left on device: a"),  # a worker's
        (PermissionError(errno.EACCES, "Permission denied", "models"), 2, "models: Permission denied; mend that"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"lock"), 2, "lock: Is a directory; mend that"),
        (OSError("odd"), 2, "odd; mend that"),
    ],
)
def test_an_error_of_the_system_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: OSError, code: int, said: str
) -> None:
    assert as_user_error(error).exit_code == code

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(stages, "run_stage", fail)
    done = CliRunner().invoke(cli.main, ["ingest"])
    assert done.exit_code == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("augmint: ")
    assert said in done.stderr


@needs_full
@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_a_log_on_the_full_disk_changes_nothing(tmp_path: Path, output: str) -> None:
    code = (
        "import sys, pipeline.cli as c; c.stages.run_stage = lambda *_: print('x' * 9999); sys.exit(c.main(['ingest']))"
    )
    with FULL.open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, **{output: full}, check=False)
    assert done.returncode == (75 if output == "stdout" else 0)


# What lies in the way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [".augmint/train.lock/x", ".augmint", ".models.swap.part/x"])
def test_a_folder_for_a_file_or_a_file_for_a_folder_is_one_sentence(
    digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.chdir(digits_workspace.root)
    Path("params.yaml").write_text("train: {width: 4}\n", encoding="utf-8")
    Path(made).parent.mkdir(parents=True, exist_ok=True)
    Path(made).write_text("", encoding="utf-8")
    done = CliRunner().invoke(cli.main, ["train"])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"augmint: {made.removesuffix('/x')}: ")


def test_a_folder_in_a_states_place_is_none_and_makes_room(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    for number in range(3):
        save_state(path, {"a": torch.full((3,), float(number))}, "key")
        path.unlink()
        (path / "x").mkdir(parents=True)
        said: list[str] = []
        before = load_state(path, "key", said.append)
        assert before is None or before["a"].tolist() == [number - 1.0] * 3
        assert len(said) == 1
    save_state(path, {"a": torch.ones(3)}, "key")
    state = load_state(path, "key", pytest.fail)
    assert state is not None and state["a"].tolist() == [1, 1, 1]
