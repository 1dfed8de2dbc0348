"""Sets pushed to a machine by SSH, whose files, other than those of a store, can be seen half written."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.errors import BusyError
from pipeline.export.pushing import push
from pipeline.stages.export import run
from tests.pipeline.export_project import contents, make, params
from tests.ssh_server import SSH


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a set."""
    workspace = make(tmp_path_factory.mktemp("push") / "one")
    run(params(balance=0, classes={"cup": 7, "tail": 4}), workspace)
    return workspace.synthetic


def augmint(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def pushed(ssh: SSH, folder: Path) -> dict[str, bytes]:
    """What lies below a folder there, as the machine itself sees it."""
    (name,) = [each for each in (ssh.root / folder).iterdir() if each.is_dir()]
    return contents(name)


def test_a_set_is_pushed_once_and_verified_where_it_lies(ssh: SSH, exported: Path) -> None:
    result = augmint("push", "ssh://box/srv/sets", "--folder", str(exported))
    assert result.exit_code == 0, result.output
    assert pushed(ssh, Path("srv/sets")) == contents(exported)
    result = augmint("push", "ssh://box/srv/sets", "--folder", str(exported))
    assert f"{len(contents(exported))} files, 0 sent" in result.output
    result = augmint("verify", "ssh://box/srv/sets")
    assert result.exit_code == 0, result.output


def test_a_push_goes_on_over_lost_connections(ssh: SSH, exported: Path) -> None:
    ssh.cut = [3, 2, 0]
    push(exported, "ssh://box/sets")
    assert ssh.cut == []
    assert pushed(ssh, Path("sets")) == contents(exported)


def test_a_push_that_was_broken_off_leaves_no_current_set_and_goes_on(ssh: SSH, exported: Path) -> None:
    ssh.cut = [4, *[0] * 50]
    with pytest.raises(BusyError):
        push(exported, "ssh://box/sets")
    assert not (ssh.root / "sets" / "current.json").exists()
    ssh.cut = []
    sent = push(exported, "ssh://box/sets").sent
    assert 0 < sent < len(contents(exported))
    assert pushed(ssh, Path("sets")) == contents(exported)
    assert (ssh.root / "sets" / "current.json").exists()
