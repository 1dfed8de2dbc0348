"""Sources in an S3 store: what is read is what lies there, whatever goes wrong on the way."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import BusyError, UserError
from pipeline.params import DataParams
from pipeline.remote import fetching, place
from pipeline.remote.fetching import fetch
from pipeline.sources import open_source
from tests.pipeline.projects.conftest import make_folder
from tests.pipeline.remote.test_fetching import packed
from tests.s3_server import KEY, S3, SECRET

LARGE = np.random.default_rng(0).bytes(300_000)
CHUNK = 64 * 1024


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six."""
    return make_folder(tmp_path_factory.mktemp("s3") / "fruit", {"apple": 6, "pear": 6})


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "CHUNK", CHUNK)


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """The name of a bucket of the test's own."""
    name = f"b{abs(hash(request.node.name))}"
    s3.bucket(name)
    return name


def put(s3: S3, bucket: str, folder: Path) -> None:
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        s3.client.put_object(Bucket=bucket, Key=f"set/{file.relative_to(folder).as_posix()}", Body=file.read_bytes())


def layouts(images: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """The same images as each source has them."""
    files = sorted(images.glob("*/*"))
    yield "folder", images
    (root / "set.zip").write_bytes(packed(images))
    yield "archive", root / "set.zip"
    rows = {
        "image": [{"bytes": f.read_bytes(), "path": f.name} for f in files],
        "label": [f.parent.name for f in files],
    }
    for kind in ("table", "huggingface"):
        (root / kind).mkdir()
        pq.write_table(pa.table(rows), root / kind / "train.parquet")
        yield kind, root / kind
    np.savez(root / "set.npz", images=np.zeros((12, 8, 8), np.uint8), labels=np.repeat([0, 1], 6))
    yield "npz", root / "set.npz"


def test_every_source_reads_there_what_it_reads_here(s3: S3, bucket: str, images: Path, tmp_path: Path) -> None:
    for kind, path in layouts(images, tmp_path):
        prefix = f"{kind}/{path.name}"
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            inner = "" if path.is_file() else f"/{file.relative_to(path).as_posix()}"
            s3.client.put_object(Bucket=bucket, Key=prefix + inner, Body=file.read_bytes())
        if path.is_dir():
            for folder in ("", "apple/", "empty/"):  # as the console makes them
                s3.client.put_object(Bucket=bucket, Key=f"{prefix}/{folder}", Body=b"")
        here = open_source(DataParams(source=kind, path=str(path)), tmp_path)
        there = open_source(DataParams(source=kind, path=f"s3://{bucket}/{prefix}"), tmp_path / "project")
        assert there.listing.classes == here.listing.classes
        assert there.listing.labels.tolist() == here.listing.labels.tolist()
        read = [{source.listing.paths[i]: get() for i, get in source.images()} for source in (here, there)]
        assert read[0].keys() == read[1].keys()
        assert len(read[0]) == 12
        assert all(read[0][name] == read[1][name] for name in read[0])


def test_a_second_fetch_asks_for_no_bytes_and_a_new_version_is_fetched(s3: S3, bucket: str, tmp_path: Path) -> None:
    url = f"s3://{bucket}/set.bin"
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)
    assert fetch(url, tmp_path).read_bytes() == LARGE
    s3.calm()
    assert fetch(url, tmp_path).read_bytes() == LARGE
    assert not any(request.startswith("GET") for request in s3.asked)
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE[:-1] + b"!")  # as long as before
    assert fetch(url, tmp_path).read_bytes() == LARGE[:-1] + b"!"


def test_throttling_is_waited_for_then_said(s3: S3, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    url = f"s3://{bucket}/set.bin"
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)
    s3.throttled["HEAD"], s3.throttled["GET"] = 2, 2
    assert fetch(url, tmp_path).read_bytes() == LARGE
    assert "SlowDown: Please reduce your request rate; again in" in "".join(capsys.readouterr())
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE[1:])
    s3.throttled["GET"] = 1000
    with pytest.raises(
        BusyError, match=r"data\.path: s3://.*: cannot be reached now \(SlowDown.*try again later"
    ) as caught:
        fetch(url, tmp_path)
    assert caught.value.exit_code == 75
    assert not [file for file in tmp_path.rglob("*.bin") if file.read_bytes() != LARGE]


@pytest.mark.parametrize("cuts", [[0, 10], [CHUNK - 1], [5, CHUNK // 2], [CHUNK // 4] * 7])
def test_a_lost_connection_is_gone_on_with(s3: S3, bucket: str, cuts: list[int], tmp_path: Path) -> None:
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)
    s3.cut = list(cuts)
    assert fetch(f"s3://{bucket}/set.bin", tmp_path).read_bytes() == LARGE
    assert not s3.cut


def test_what_was_fetched_before_the_end_is_kept(s3: S3, bucket: str, tmp_path: Path) -> None:
    url, path = f"s3://{bucket}/set.bin", f"GET /{bucket}/set.bin"
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)

    def third(request: str) -> None:
        if s3.asked[path] > 2:
            s3.cut = [7] * 1000

    s3.before = third
    with pytest.raises(BusyError, match="cannot be reached now"):
        fetch(url, tmp_path)
    assert not list(tmp_path.rglob("*.bin"))  # nothing that could be taken for the whole
    s3.calm()
    assert fetch(url, tmp_path).read_bytes() == LARGE
    assert s3.asked[path] == 2  # of five chunks, three were there


def test_an_interrupted_fetch_of_a_folder_goes_on(
    s3: S3, bucket: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, bucket, images)
    read, done = place.Place.read, []

    def interrupted(self: place.Place, name: str, offset: int, size: int) -> Iterator[bytes]:
        done.append(name)
        if len(done) == 9:
            raise KeyboardInterrupt
        return read(self, name, offset, size)

    monkeypatch.setattr(place, "CONNECTIONS", 1)
    monkeypatch.setattr(place.Place, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(f"s3://{bucket}/set", tmp_path)
    s3.calm()
    found = fetch(f"s3://{bucket}/set", tmp_path)
    assert sum(count for request, count in s3.asked.items() if ".png" in request and request[:3] == "GET") == 4
    assert {p.relative_to(found): p.read_bytes() for p in found.rglob("*.png")} == {
        p.relative_to(images): p.read_bytes() for p in images.rglob("*.png")
    }


@pytest.mark.parametrize("inner", ["set.bin", "set/a.bin"])
def test_what_changes_while_it_is_read_is_read_again(s3: S3, bucket: str, inner: str, tmp_path: Path) -> None:
    new = LARGE[::-1]
    s3.client.put_object(Bucket=bucket, Key=inner, Body=LARGE)

    def replaced(request: str) -> None:
        if request == f"GET /{bucket}/{inner}" and s3.asked[request] == 3:
            s3.client.put_object(Bucket=bucket, Key=inner, Body=new)

    s3.before = replaced
    found = fetch(f"s3://{bucket}/{inner.partition('/')[0]}", tmp_path)
    assert (found / "a.bin" if found.is_dir() else found).read_bytes() == new


def test_what_changes_all_the_time_is_said(s3: S3, bucket: str, tmp_path: Path) -> None:
    s3.client.put_object(Bucket=bucket, Key="set/a.bin", Body=b"0")

    def more(request: str) -> None:
        if request.startswith("GET") and request.endswith(".bin"):
            s3.client.put_object(Bucket=bucket, Key=f"set/{s3.asked[request]}{len(s3.asked)}.bin", Body=b"1")

    s3.before = more
    with pytest.raises(BusyError, match="changes while it is read; try again when it is finished"):
        fetch(f"s3://{bucket}/set", tmp_path)


@pytest.mark.parametrize(
    ("path", "key", "told"),
    [
        ("nosuchbucket/set.zip", KEY, "nothing is there|there is no bucket nosuchbucket; mend the address"),
        ("{bucket}/other.zip", KEY, "nothing is there; mend the address"),
        ("{bucket}/set.bin", "AKIAWRONG", r"access is refused \(403: Forbidden\); check the key .*AWS_ACCESS_KEY_ID"),
        ("{bucket}/set.bin", "", r"access is refused .*AWS_ACCESS_KEY_ID"),
    ],
)
def test_what_a_user_can_mend(
    s3: S3,
    bucket: str,
    path: str,
    key: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)
    s3fs.S3FileSystem.clear_instance_cache()  # each keeps the key that it was made with
    request.addfinalizer(s3fs.S3FileSystem.clear_instance_cache)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    if not key:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UserError, match=told) as caught:
        fetch(f"s3://{path.format(bucket=bucket)}", tmp_path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_package_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, package, extra in [
        ("s3://b/set.zip", "s3fs", "s3"),
        ("gs://b/set.zip", "gcsfs", "gs"),
        ("az://b/set.zip", "adlfs", "az"),
        ("azure://b/set.zip", "adlfs", "az"),
        ("ssh://host/set.zip", "sshfs", "ssh"),
        ("sftp://host/set.zip", "sshfs", "ssh"),
        ("hf://datasets/o/s", "huggingface_hub", "huggingface"),
    ]:
        for module in (package, "paramiko"):
            monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition(":")[0], raising=False)
        with pytest.raises(UserError, match=rf"needs the package {package}; pip install 'augmint\[{extra}\]'"):
            fetch(url, tmp_path)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (f"s3://{KEY}:{SECRET}@bucket/set.zip", SECRET),
        ("https://me:pa55word@host:8080/set.zip", "pa55word"),
        ("https://ghp_0123@host/set.zip", "ghp_0123"),
        ("zip::https://me:pa55word@host/set.zip", "pa55word"),
        ("https://host/set.zip?X-Amz-Signature=abcd1234", "abcd1234"),
        ("https://host/set.zip?v=1&access_token=abcd1234", "abcd1234"),
        ("https://a.blob.core.windows.net/c/set.zip?sv=1&sig=abcd1234", "abcd1234"),
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_shown(url: str, secret: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"data: {{source: archive, path: {url!r}}}", encoding="utf-8")
    runner = CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for command in (["ingest"], ["init", "study", "--images", url], ["doctor"]):
            result = runner.invoke(main, command)
            assert result.exit_code == (1 if command == ["doctor"] else 2), result.output
            assert "has a password in it" in result.output or "has a key, " in result.output
            assert secret not in result.output
    with pytest.raises(UserError, match="take it out"):
        fetch(url, tmp_path)


def test_addresses_without_a_secret_are_taken() -> None:
    for url in (
        *(
            "ssh://me@host:22/set",
            "https://host:8080/a/b@c.zip",
            "s3://b/k?versionId=abc",
            "abfs://box@account.net/set",
        ),
        *("s3://arn:aws:s3:eu:1:accesspoint/x/k", "hf://datasets/o/s@main/a.zip", "data/me:you@home.zip", "C:/x:y@z"),
    ):
        assert DataParams(source="archive", path=url).path == url


def test_a_disk_that_fills_is_said_as_ever(
    s3: S3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client.put_object(Bucket=bucket, Key="set.bin", Body=LARGE)
    free = iter([2**40, 2**40, 2**40])
    monkeypatch.setattr(fetching, "_free", lambda folder: next(free, 0))
    with pytest.raises(BusyError, match="MiB are free there; free some"):
        fetch(f"s3://{bucket}/set.bin", tmp_path)
    monkeypatch.setattr(fetching, "_free", lambda folder: 2**40)
    s3.calm()
    assert fetch(f"s3://{bucket}/set.bin", tmp_path).read_bytes() == LARGE
