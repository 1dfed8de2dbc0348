"""``augmint doctor``: each thing that can be wrong, made wrong."""

import json
import shutil
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline import doctor
from pipeline.cli import main
from pipeline.workspace import Workspace

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing is wrong, on a machine that is fine."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "photos").mkdir()
    (tmp_path / "params.yaml").write_text("data: {source: folder, path: photos}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    for name in doctor.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "open_cores", lambda: 4)
    monkeypatch.setattr(doctor, "core_quota", lambda: None)
    monkeypatch.setattr(doctor, "memory_free", lambda: 16 * doctor.GIB)
    monkeypatch.setattr(doctor, "memory_limit", lambda: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 50 * doctor.GIB))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words])


def found(check: str) -> doctor.Result:
    (result,) = [one for one in doctor.examine(Workspace()) if one.check == check]
    return result


@pytest.mark.usefixtures("project")
def test_nothing_is_wrong() -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert {line.split()[0] for line in result.output.splitlines()} == {"ok"}
    for check in ("python", "packages", "device", "dvc", "git", "cores", "memory", "disk", "permissions", "images"):
        assert f" {check}: " in result.output


@pytest.mark.usefixtures("project")
def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memory_free", lambda: 1000)
    result = run("--json")
    assert result.exit_code == 1
    (memory,) = [one for one in json.loads(result.stdout) if one["check"] == "memory"]
    assert memory["state"] == "wrong"
    assert "lower data.image_size" in memory["remedy"]


def test_misuse_has_its_own_code() -> None:
    assert run("--nosuch").exit_code == 2


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("name", "value", "check", "state", "told"),
    [
        ("memory_free", lambda: 2 * doctor.GIB, "memory", "warning", "2.0 GiB free"),
        ("memory_limit", lambda: doctor.GIB // 2, "memory", "wrong", "the limit of a container"),
        ("core_quota", lambda: 1.5, "cores", "warning", "export OMP_NUM_THREADS=1"),
        ("PYTHONS", ((3, 98), (3, 99)), "python", "wrong", "augmint needs"),
    ],
)
def test_the_machine(
    name: str, value: object, check: str, state: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, name, value)
    assert found(check).state == state
    assert told in str(found(check))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("threads", "told"), [("1", "unset OMP_NUM_THREADS"), ("64", "export OMP_NUM_THREADS=4")])
def test_threads(threads: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert found("cores").state == "warning"
    assert told in found("cores").remedy


@pytest.mark.usefixtures("project")
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10))
    assert (found("disk").state, found("temporary files").state) == ("wrong", "wrong")
    assert "dvc gc" in found("disk").remedy


@pytest.mark.usefixtures("project")
def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: {"torch": "2.3.0", "prefect": "4.0"}.get(name) or real(name))
    result = found("packages")
    assert result.state == "wrong"
    for told in (
        "torch 2.3.0 does not fit augmint",
        "torch 2.3.0 does not fit torchvision",
        "prefect 4.0 does not fit",
    ):
        assert told in result.found


@pytest.mark.usefixtures("project")
def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert found("dvc").state == found("augmint").state == "wrong"
    assert found("git").state == "warning"
    monkeypatch.setattr(shutil, "which", lambda name: f"/elsewhere/bin/{name}" if name == "dvc" else None)
    assert "another environment" in found("dvc").found


def test_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "photos").rmdir()
    assert found("images").state == "wrong"
    (project / "params.yaml").write_text("data: {soruce: folder}\n")
    assert "did you mean `source`" in found("params.yaml").found
    (project / "dvc.yaml").unlink()
    assert "dvc.yaml missing" in found("project").found
    (project / "params.yaml").unlink()
    assert "augmint init DIR" in found("project").remedy
    assert found("project").state == "warning"


def test_what_may_not_be_written_to(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "models").mkdir()
    real = doctor.os.access
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: real(path, mode) and Path(path).name != "models")
    assert found("permissions").state == "wrong"
    assert "models" in found("permissions").found


@pytest.mark.usefixtures("project")
def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def device():
        raise OSError("libcudart.so: cannot open shared object file")
        yield

    monkeypatch.setattr(doctor, "OF_THE_MACHINE", (device,))
    assert "libcudart.so" in found("device").found
    assert run().exit_code == 1
