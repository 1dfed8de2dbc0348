"""Addresses: a server of one's own, fsspec's file system in memory, and what is not there."""

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
from pipeline.sources import open_source, remote
from pipeline.sources.remote import fetch, is_url, local_path, shown
from tests.pipeline.projects.conftest import make_folder


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
    """Serves one zip, and counts how often it is asked for all of it."""

    content, asked, tells = b"", 0, True


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
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(self.server.content) if there else 0))
        if self.server.tells:
            self.send_header("ETag", f'"{hash(self.server.content)}"')
        self.end_headers()
        self.wfile.write(body if there else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(images: Path) -> Iterator[Server]:
    """A server on this machine alone."""
    found = Server(("127.0.0.1", 0), _Handler)
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
    assert len(list((tmp_path / ".augmint" / "remote").iterdir())) == 1  # the old one is gone


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
        ("s3://key:secret@bucket/set.zip", UserError, "s3fs"),
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
        def info(self, path: str) -> dict[str, object]:
            return {"type": "directory"}

        def find(self, path: str, detail: bool) -> dict[str, dict[str, object]]:
            return {f"{path}/../../escaped.png": {"size": 3, "etag": "x"}}

    monkeypatch.setattr(remote, "_file_system", lambda url: (Bad(), "bucket/set"))
    with pytest.raises(UserError, match="leads out of the folder"):
        fetch("s3://bucket/set", tmp_path)


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/one.zip", b"PK")
    monkeypatch.setattr(remote, "SPARE", 2**60)
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
    from pipeline.projects import starting
    from pipeline.projects.measuring import Speed

    monkeypatch.setattr(starting, "measure", lambda *_: Speed(10.0, 2**29, 0.01))
    url = f"http://127.0.0.1:{server.server_port}/set.zip"
    result = CliRunner().invoke(main, ["init", str(tmp_path / "study"), "--images", url])
    assert result.exit_code == 0, result.output
    assert "fetching" in result.output
    assert url in (tmp_path / "study" / "params.yaml").read_text()
    assert "${data.path}" in (tmp_path / "study" / "dvc.yaml").read_text()
    assert list((tmp_path / "study" / ".augmint" / "remote").glob("*/set.zip"))  # ingest need not fetch it again
