"""`augmint serve notify` without a server; with one in tests/e2e/prefect."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main


@pytest.mark.parametrize(("named", "reason"), [(False, "no server: run `augmint serve`"), (True, "does not answer")])
def test_no_server_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool, reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        if named:
            monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free.getsockname()[1]}/api")
        done = CliRunner().invoke(main, ["serve", "notify", "slack-webhook/lab"])
    assert done.exit_code == 2
    assert done.output.startswith("augmint: ") and reason in done.output
    assert len(done.output.splitlines()) == 1
