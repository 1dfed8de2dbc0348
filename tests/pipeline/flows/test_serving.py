"""When `augmint serve` starts a server of its own, and how it ends."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BusyError, UserError
from pipeline.flows import serving, ui


class Program:
    """Stands for a process that a guard holds."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout: float) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("flows", timeout)
        return self.code


class World:
    """Whether a server answers, and which programs were started."""

    def __init__(self) -> None:
        self.answers, self.started = True, list[Program]()

    @contextmanager
    def held(self, command: list[str], log: Path | None = None) -> Iterator[Program]:
        self.started.append(Program())
        self.answers = True
        yield self.started[-1]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "")  # and unset what is set meanwhile
    monkeypatch.setenv("PREFECT_UI_STATIC_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(serving, "answers", lambda url: world.answers)
    monkeypatch.setattr(serving, "_held", world.held)
    monkeypatch.setattr(serving, "SECONDS_TO_ANSWER", 0)
    return world


def made(stack: ExitStack) -> serving.Server:
    server = serving.Server(ui.address("127.0.0.1", 4299), "127.0.0.1", 4299, stack)
    server.wait()
    return server


def test_a_server_that_another_project_took_with_it_is_replaced(world: World) -> None:
    with ExitStack() as stack:
        server = made(stack)
        assert world.started == []  # one runs there already
        world.answers = False
        for _ in range(serving.SILENT_LOOKS - 1):
            server.look()
        world.answers = True  # it was busy
        server.look()
        assert world.started == []
        world.answers = False
        for _ in range(serving.SILENT_LOOKS):
            server.look()
        assert len(world.started) == 1
        world.answers = False  # its own is at work, if slow
        for _ in range(serving.SILENT_LOOKS):
            server.look()
        assert len(world.started) == 1
        world.started[0].code = 1  # or has been killed
        for _ in range(serving.SILENT_LOOKS + 1):
            server.look()
        assert len(world.started) == 2


def test_a_server_that_is_named_is_never_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://lab.example/api")
    with ExitStack() as stack:
        server = made(stack)
        world.answers = False
        for _ in range(2 * serving.SILENT_LOOKS):
            server.look()
        with pytest.raises(UserError, match="no server answers"):
            made(stack)
    assert world.started == []


def test_the_end_of_what_runs_the_flows_is_the_end(world: World) -> None:
    server: Any = None
    assert serving._watch(Program(2), server) == 2  # it has said why
    with pytest.raises(BusyError, match="killed"):
        serving._watch(Program(137), server)
