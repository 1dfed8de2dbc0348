"""An SSH server on this machine, asyncssh's, that shows one folder by SFTP, with the faults that a real one has."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest


class SSH:
    """The server, its folder, and a home folder from which it can be asked.

    Attributes:
        root: what a client sees as ``/``.
        home: with a configuration in which the server is called ``box``, a key that it takes, and its own key as known.
        url: the address of the folder.
        cut: after how many further parts of files, read or written, the connection breaks off; each is taken once.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.home = folder / "served", folder / "home"
        self.root.mkdir()
        self.url = "ssh://box"
        self.cut: list[int] = []
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._user_key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.listen()
        self._write_home()

    def listen(self) -> None:
        """Takes connections, again at the same port."""
        self._server = self._do(self._listening())
        self.port = self._server.get_port()

    def hang_up(self) -> None:
        """Takes no connection any more, and ends those that there are."""
        self._server.close()
        self._do(self._hung_up())

    def know(self, key: "asyncssh.SSHKey | None") -> None:
        """Has the home folder know this key as the server's; none at all with None."""
        line = f"[127.0.0.1]:{self.port} {key.export_public_key().decode()}" if key else ""
        (self.home / ".ssh" / "known_hosts").write_text(line, encoding="utf-8")

    def know_well(self) -> None:
        """Has the home folder know the server's real key."""
        self.know(self._host_key)

    def use(self, key: "asyncssh.SSHKey | None" = None) -> None:
        """Has the home folder offer this key; the right one if left out."""
        file = self.home / ".ssh" / "id_ed25519"
        file.write_bytes((key or self._user_key).export_private_key())
        file.chmod(0o600)

    def close(self) -> None:
        """Ends it."""
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listening(self) -> asyncssh.SSHAcceptor:
        allowed = asyncssh.import_authorized_keys(self._user_key.export_public_key().decode())
        self._taken: set[asyncssh.SSHServerConnection] = set()

        def served(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
            return _Folder(channel, self.root, self._breaks)

        return await asyncssh.create_server(
            lambda: _Door(self._taken),
            "127.0.0.1",
            self.port,
            server_host_keys=[self._host_key],
            authorized_client_keys=allowed,
            sftp_factory=served,
        )

    async def _hung_up(self) -> None:
        await self._server.wait_closed()
        for connection in list(self._taken):
            connection.abort()

    def _breaks(self) -> bool:
        """Whether the next part ends the connection."""
        if not self.cut:
            return False
        self.cut[0] -= 1
        if self.cut[0] >= 0:
            return False
        self.cut.pop(0)
        return True

    def _write_home(self) -> None:
        folder = self.home / ".ssh"
        folder.mkdir(parents=True, mode=0o700)
        (folder / "config").write_text(
            f"Host box\n  HostName 127.0.0.1\n  Port {self.port}\n  User me\n  IdentityFile {folder}/id_ed25519\n",
            encoding="utf-8",
        )
        self.use()
        self.know_well()


class _Door(asyncssh.SSHServer):
    """Keeps the connections that there are."""

    def __init__(self, taken: set[asyncssh.SSHServerConnection]) -> None:
        self._taken = taken

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._taken.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._taken.discard(self._conn)


class _Folder(asyncssh.SFTPServer):
    """The folder, with connections that break off."""

    def __init__(self, channel: asyncssh.SSHServerChannel, root: Path, breaks: Callable[[], bool]) -> None:
        super().__init__(channel, chroot=str(root).encode())
        self._breaks = breaks

    def read(self, file_obj: object, offset: int, size: int) -> Any:
        if self._breaks():
            self.connection.abort()
        return super().read(file_obj, offset, size)

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        if self._breaks():
            self.connection.abort()
        return super().write(file_obj, offset, data)


@pytest.fixture
def ssh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SSH]:
    """A server of the test's own, which the home folder leads to; without pauses between tries."""
    from pipeline.remote import place

    server = SSH(tmp_path_factory.mktemp("ssh"))
    monkeypatch.setenv("HOME", str(server.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(place, "PAUSES", (0.0,) * 4)
    yield server
    server.close()
