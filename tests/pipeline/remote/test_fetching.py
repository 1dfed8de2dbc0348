"""Addresses: a server of one's own, fsspec's file system in memory, and what is not there."""

import base64
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import BusyError, UserError
from pipeline.params import DataParams
from pipeline.projects.writing import dvc_watches
from pipeline.remote import fetching, place
from pipeline.remote.addresses import is_url, local_path, shown
from pipeline.remote.fetching import fetch
from pipeline.sources import open_source
from tests.pipeline.projects.conftest import make_folder


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "PAUSES", (0.0, 0.0))


def packed(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return file.getvalue()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of a dozen."""
    return make_folder(tmp_path_factory.mktemp("remote") / "fruit", {"apple": 12, "pear": 12})


class Server(http.server.ThreadingHTTPServer):
    """Serves one zip, and counts how often it is asked for all of it.

    Attributes:
        tells: whether it says which version it gives.
        fails: the statuses that the next requests are answered with.
        breaks: after how many bytes the next answers break off.
        md5: what it says that the content's is.
    """

    content, asked, tells, md5 = b"", 0, True, ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fails: list[int] = []
        self.breaks: list[int] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked += self.path == "/set.zip"
        self._answer(self.server.content)

    def _answer(self, body: bytes) -> None:
        assert isinstance(self.server, Server)
        there = self.path == "/set.zip"
        if self.server.fails:
            self.send_error(self.server.fails.pop(0))
            return
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(self.server.content) if there else 0))
        if self.server.tells:
            self.send_header("ETag", f'"{hash(self.server.content)}"')
        if self.server.md5:
            self.send_header("Content-MD5", self.server.md5)
        self.end_headers()
        size = self.server.breaks.pop(0) if body and self.server.breaks else len(body)
        self.wfile.write(body[:size] if there else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(images: Path) -> Iterator[Server]:
    """A server on this machine alone."""
    found = Server()
    found.content = packed(images)
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_zip_over_http_is_fetched_once_for_each_version(server: Server, images: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    data = DataParams(source="archive", path=url)
    source = open_source(data, tmp_path)
    assert {p.name for p in images.iterdir()} == set(source.listing.classes)
    read = {source.listing.paths[index]: get() for index, get in source.images()}
    assert read == {p.relative_to(images).as_posix(): p.read_bytes() for p in images.glob("*/*")}
    open_source(data, tmp_path)
    assert server.asked == 1
    server.content = packed(images / "pear") + b""  # no classes any more
    with pytest.raises(UserError, match="no image in a class folder"):
        open_source(data, tmp_path)
    assert server.asked == 2
    assert len([p for p in (tmp_path / ".augmint" / "remote").iterdir() if p.is_dir()]) == 1  # the old one is gone


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_web_server_that_is_overloaded_is_asked_again(server: Server, status: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    server.fails = [status] * 3
    assert fetch(url, tmp_path).read_bytes() == server.content
    server.content, server.fails = b"PK another", [status] * 50
    with pytest.raises(BusyError, match=rf"cannot be reached now \(.*{status}"):
        fetch(url, tmp_path)


@pytest.mark.parametrize("breaks", [[0], [10, 500], [200, 100]])
def test_a_web_server_that_gives_no_parts_is_read_from_the_start_again(
    server: Server, breaks: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "CHUNK", 64)
    server.breaks = breaks
    assert fetch(f"http://127.0.0.1:{server.server_port}/set.zip", tmp_path).read_bytes() == server.content
    assert not server.breaks


def test_what_is_not_what_its_checksum_says_is_not_taken(server: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    server.md5 = base64.b64encode(hashlib.md5(server.content).digest()).decode()
    assert fetch(url, tmp_path).read_bytes() == server.content
    server.content = server.content[::-1]
    with pytest.raises(BusyError, match="changes while it is read"):
        fetch(url, tmp_path)
    assert [file.read_bytes() for file in tmp_path.rglob("set.zip")] == [server.content[::-1]]


def test_folders_and_tables_in_any_file_system(images: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(images), "/fruit", recursive=True)
    try:
        source = open_source(DataParams(source="folder", path="memory://fruit"), tmp_path)
        assert len(source.listing) == 24
    finally:
        memory.rm("/fruit", recursive=True)


def test_an_address_of_this_machine_is_no_copy(images: Path, tmp_path: Path) -> None:
    assert fetch(images.as_uri(), tmp_path / "scratch") == images
    assert not (tmp_path / "scratch").exists()
    assert local_path("file:///a%20b/c") == Path("/a b/c")


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ("http://127.0.0.1:9/set.zip", BusyError, "cannot be reached now"),
        ("memory://nothing.zip", UserError, "nothing is there; mend the address"),
        ("nosuch://a/b", UserError, "nosuch"),
        ("s3://key:secret@bucket/set.zip", UserError, "has a password in it"),
    ],
)
def test_what_cannot_be_fetched(url: str, kind: type[UserError], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told) as caught:
        fetch(url, tmp_path)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


def test_what_is_not_there_on_the_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is there"):
        fetch(f"http://127.0.0.1:{server.server_port}/other.zip", tmp_path)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bad:
        def invalidate_cache(self) -> None:
            pass

        def info(self, path: str) -> dict[str, object]:
            return {"type": "directory"}

        def find(self, path: str, detail: bool) -> dict[str, dict[str, object]]:
            return {f"{path}/../../escaped.png": {"size": 3, "etag": "x"}}

    bad = place.Place("s3://bucket/set", "data.path", Bad(), "bucket/set")
    monkeypatch.setattr(place.Place, "open", lambda url, key: bad)
    with pytest.raises(UserError, match="leads out of the folder"):
        fetch("s3://bucket/set", tmp_path)


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/one.zip", b"PK")
    monkeypatch.setattr(fetching, "SPARE", 2**60)
    with pytest.raises(BusyError, match="MiB are free there; free some"):
        fetch("memory://one.zip", tmp_path)
    memory.rm("/one.zip")


def test_paths_are_no_addresses() -> None:
    assert [is_url(text) for text in ("https://a/b", "s3://a", "zip::https://a/b", "C:/a", "/a:/b", "a/b", "../x")] == [
        *(True, True, True),
        *(False, False, False, False),
    ]
    assert shown("https://me:pw@host/set.zip?token=1") == "https://host/set.zip"


def test_dvc_watches_what_it_can(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    assert dvc_watches("../fruit")
    assert dvc_watches(url)
    assert not dvc_watches("memory://set.zip")
    server.tells = False
    assert not dvc_watches(url)  # DVC would end with an error


def test_init_takes_an_address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.experiment.costs import Steps
    from pipeline.projects import starting
    from pipeline.projects.measuring import Speed

    monkeypatch.setattr(starting, "measure", lambda *_: Speed(10.0, 2**29, Steps(0.01, 0.01, 0.0001)))
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    result = CliRunner().invoke(main, ["init", str(tmp_path / "study"), "--images", url])
    assert result.exit_code == 0, result.output
    assert "fetching" in result.output
    assert url in (tmp_path / "study" / "params.yaml").read_text()
    assert "${data.path}" in (tmp_path / "study" / "dvc.yaml").read_text()
    assert list((tmp_path / "study" / ".augmint" / "remote").glob("*/set.zip"))  # ingest need not fetch it again
