"""Who serves a folder: its lock and the note beside it."""

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import BusyError
from pipeline.flows import served
from pipeline.flows.names import artifact_key, slug, tags


def test_one_serves_a_folder_and_others_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert served.process(tmp_path) is None
    with served.held() as note:
        assert served.read(tmp_path) is None
        note.write(served.Served("http://127.0.0.1:9/api", "http://127.0.0.1:9", worker=True))
        assert served.process(tmp_path) == os.getpid()
        assert served.read(tmp_path) == served.Served("http://127.0.0.1:9/api", "http://127.0.0.1:9", worker=True)
        with pytest.raises(BusyError, match=f"PID {os.getpid()}"), served.held():
            pass
    assert served.process(tmp_path) is None
    done = CliRunner().invoke(main, ["serve", "status"])
    assert (done.exit_code, done.output) == (1, "augmint serve is not at work in this folder\n")
    done = CliRunner().invoke(main, ["serve", "stop"])
    assert (done.exit_code, done.output) == (0, "augmint serve is not at work in this folder\n")


def test_stop_waits_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sent: list[int] = []
    looks = iter([7, 7, 7, None])
    monkeypatch.setattr(served, "process", lambda folder: next(looks))
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    monkeypatch.setattr(served, "SECONDS_BETWEEN_LOOKS", 0)
    assert served.stop(tmp_path) == 7
    assert sent == [signal.SIGTERM]


def test_a_project_is_called_by_its_folder_or_by_prefect_yaml(tmp_path: Path) -> None:
    folder = tmp_path / "Tiles, 64x64 (new)"
    folder.mkdir()
    assert slug(folder) == "tiles-64x64-new"
    assert tags(folder) == ["augmint", "tiles-64x64-new"]
    (folder / "prefect.yaml").write_text("name: Tiles of 2026\n")
    assert slug(folder) == "tiles-of-2026"
    assert artifact_key(folder, "nearest") == "tiles-of-2026-nearest"
    (folder / "prefect.yaml").write_text("name:\n")
    assert slug(folder) == "tiles-64x64-new"
