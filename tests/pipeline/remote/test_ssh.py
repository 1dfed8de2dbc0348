"""Sources on a machine by SSH: read as they lie there, from the right host alone, over lost connections too."""

import logging
from pathlib import Path

import asyncssh
import numpy as np
import pytest

from pipeline.errors import BusyError, UserError
from pipeline.params import DataParams
from pipeline.remote import place
from pipeline.remote.fetching import fetch
from pipeline.sources import open_source
from tests.pipeline.projects.conftest import make_folder
from tests.pipeline.remote.test_fetching import packed
from tests.ssh_server import SSH

LARGE = np.random.default_rng(0).bytes(300_000)
CHUNK = 64 * 1024


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "CHUNK", CHUNK)


@pytest.fixture
def file(ssh: SSH) -> str:
    """The address of a file of :data:`LARGE`."""
    (ssh.root / "a set").mkdir()
    (ssh.root / "a set" / "set.bin").write_bytes(LARGE)
    return f"{ssh.url}/a set/set.bin"


def stranger() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.mark.parametrize("scheme", ["ssh", "sftp"])
def test_folders_and_archives_are_read_there_as_here(ssh: SSH, scheme: str, tmp_path: Path) -> None:
    folder = make_folder(ssh.root / "fruit", {"apple": 6, "pear": 6})
    (ssh.root / "set.zip").write_bytes(packed(folder))
    for kind, path in (("folder", folder), ("archive", ssh.root / "set.zip")):
        here = open_source(DataParams(source=kind, path=str(path)), tmp_path)
        there = open_source(DataParams(source=kind, path=f"{scheme}://box/{path.name}"), tmp_path / kind)
        read = [{source.listing.paths[i]: get() for i, get in source.images()} for source in (here, there)]
        assert len(read[0]) == 12
        assert read[0] == read[1]
        assert there.listing.labels.tolist() == here.listing.labels.tolist()


def test_a_second_fetch_takes_nothing_and_a_new_version_is_fetched(
    ssh: SSH, file: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert fetch(file, tmp_path).read_bytes() == LARGE
    capsys.readouterr()
    assert fetch(file, tmp_path).read_bytes() == LARGE
    assert "fetching" not in "".join(capsys.readouterr())
    (ssh.root / "a set" / "set.bin").write_bytes(LARGE[1:])
    assert fetch(file, tmp_path).read_bytes() == LARGE[1:]


@pytest.mark.parametrize("cut", [[0], [1, 0], [2, 3, 1, 4]])
def test_a_lost_connection_is_made_anew_and_gone_on_with(ssh: SSH, file: str, cut: list[int], tmp_path: Path) -> None:
    ssh.cut = list(cut)
    assert fetch(file, tmp_path).read_bytes() == LARGE
    assert ssh.cut == []


def test_a_host_that_is_not_the_one_that_is_known_is_told_nothing(ssh: SSH, file: str, tmp_path: Path) -> None:
    for known in (stranger(), None):
        ssh.know(known)
        with pytest.raises(UserError, match=r"data\.path: ssh://box.*not trusted.*~/\.ssh/known_hosts") as caught:
            fetch(file, tmp_path)
        assert caught.value.exit_code == 2
    ssh.know_well()
    assert fetch(file, tmp_path).read_bytes() == LARGE


def test_a_wrong_key_and_a_missing_file_are_the_users_to_mend(ssh: SSH, file: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is there; mend the address") as caught:
        fetch(file.replace("set.bin", "none.bin"), tmp_path)
    assert caught.value.exit_code == 2
    ssh.use(stranger())
    with pytest.raises(UserError, match=r"access is refused \(PermissionDenied.*a key in ~/\.ssh") as caught:
        fetch(file, tmp_path)
    assert caught.value.exit_code == 2


def test_what_the_library_logs_is_not_said_a_second_time(
    ssh: SSH, file: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    fetch(file, tmp_path)
    logging.getLogger("sshfs").error("with a traceback")
    assert "with a traceback" not in "".join(capfd.readouterr())


def test_a_host_that_is_down_may_come_back(ssh: SSH, file: str, tmp_path: Path) -> None:
    assert fetch(file, tmp_path).read_bytes() == LARGE
    (ssh.root / "a set" / "set.bin").write_bytes(LARGE[1:])
    ssh.hang_up()
    with pytest.raises(BusyError, match=r"cannot be reached now \(.*try again later") as caught:
        fetch(file, tmp_path)
    assert caught.value.exit_code == 75
    ssh.listen()
    assert fetch(file, tmp_path).read_bytes() == LARGE[1:]
